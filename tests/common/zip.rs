//! A writer of zip archives, for tests of what reads them.

use std::io::Write;

/// A file to pack: name, bytes, and the method of zip archives.
pub(crate) type Packed<'a> = (&'a str, &'a [u8], u16);

/// Writes a zip archive.
pub(crate) fn zip(files: &[Packed<'_>]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes, method) in files {
        let packed = match method {
            8 => {
                let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
                deflate.write_all(bytes).unwrap();
                deflate.finish().unwrap()
            }
            93 => zstd::encode_all(*bytes, 1).unwrap(),
            _ => bytes.to_vec(),
        };
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let mut common = [20, 0, *method, 0, 0].map(u16::to_le_bytes).concat();
        common.extend(crc.sum().to_le_bytes());
        common.extend([packed.len(), bytes.len()].iter().flat_map(|size| (*size as u32).to_le_bytes()));
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(packed);
    }
    let (count, begin) = (files.len() as u16, archive.len() as u32);
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count, count].iter().flat_map(|count| count.to_le_bytes()));
    archive.extend([directory.len() as u32, begin].iter().flat_map(|number| number.to_le_bytes()));
    archive.extend([0, 0]);
    archive
}
