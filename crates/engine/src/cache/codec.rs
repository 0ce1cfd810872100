//! zstd compression of blobs; no other module uses zstd.
//!
//! Each frame states its uncompressed size, which bounds memory. Frames have no checksum, since readers check the
//! BLAKE3 of the bytes.

use std::{
    cell::RefCell,
    io::{Read, Write},
};

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, ParamSwitch},
};

/// A frame being written.
pub(super) type FrameWriter<W> = zstd::stream::write::Encoder<'static, W>;

/// The zstd parameters: long matches only, found with a table that fits in the first-level cache of the processor,
/// and Huffman-coded literals, which negative levels leave out. Rows compress as well as at level -1, 1.5 times as
/// fast; see `docs/performance.md`.
const PARAMETERS: [CParameter; 5] = [
    CParameter::CompressionLevel(-1),
    CParameter::MinMatch(7),
    CParameter::HashLog(11),
    CParameter::TargetLength(5),
    CParameter::LiteralCompressionMode(ParamSwitch::Enable),
];

/// Maximum uncompressed size of a blob. A frame that states more is damaged.
const MAX_BYTES: u64 = 1 << 30;

/// Maximum capacity of the frame buffer that a thread keeps; enough for all but the largest chunks.
const MOST_KEPT: usize = 4 << 20;

thread_local! {
    // One compressor and buffer per thread: a compressor has 1 MB of tables, and the system would have to zero a new
    // buffer for each blob.
    static COMPRESSOR: RefCell<Option<(Compressor<'static>, Vec<u8>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses a blob and calls `take` with the frame.
pub(super) fn compress<T>(bytes: &[u8], take: impl FnOnce(&[u8]) -> T) -> std::io::Result<T> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let (compressor, frame) = match slot {
            Some(made) => made,
            None => {
                let mut compressor = Compressor::default();
                PARAMETERS.iter().try_for_each(|parameter| compressor.set_parameter(*parameter))?;
                slot.insert((compressor, Vec::new()))
            }
        };
        frame.clear();
        frame.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        compressor.compress_to_buffer(bytes, frame)?;
        let taken = take(frame);
        if frame.capacity() > MOST_KEPT {
            *frame = Vec::new();
        }
        Ok(taken)
    })
}

/// Compresses bytes that are kept for long, with zstd's own default.
pub(super) fn compress_to_keep(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(bytes, zstd::DEFAULT_COMPRESSION_LEVEL)
}

/// Decompresses a blob; the error says how the frame is damaged.
pub(super) fn decompress(frame: &[u8]) -> Result<Vec<u8>, String> {
    decompress_up_to(frame, MAX_BYTES)
}

/// Decompresses a blob of at most `most` bytes; the error says how the frame is damaged.
pub(super) fn decompress_up_to(frame: &[u8], most: u64) -> Result<Vec<u8>, String> {
    let size = match zstd::zstd_safe::get_frame_content_size(frame) {
        Ok(Some(size)) if size <= most.min(MAX_BYTES) => size as usize,
        Ok(_) => return Err("the frame has no usable size".into()),
        Err(_) => return Err("not a zstd frame".into()),
    };
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(Decompressor::new().map_err(|error| error.to_string())?),
        };
        decompressor.decompress(frame, size).map_err(|error| error.to_string())
    })
}

/// Returns a writer that compresses `size` bytes into `out`. [`finish`] must end the frame.
pub(super) fn compress_into<W: Write>(out: W, size: u64) -> std::io::Result<FrameWriter<W>> {
    let mut writer = FrameWriter::new(out, 0)?;
    PARAMETERS.iter().try_for_each(|parameter| writer.set_parameter(*parameter))?;
    writer.set_pledged_src_size(Some(size))?;
    writer.include_contentsize(true)?;
    Ok(writer)
}

/// Ends a frame begun with [`compress_into`].
pub(super) fn finish<W: Write>(writer: FrameWriter<W>) -> std::io::Result<W> {
    writer.finish()
}

/// Returns a reader that decompresses `frame`.
pub(super) fn decompress_from<R: Read>(frame: R) -> std::io::Result<impl Read> {
    zstd::stream::read::Decoder::new(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_ends_early_is_an_error() {
        let bytes: Vec<u8> = (0..2000_u32).flat_map(|i| (i % 97).to_le_bytes()).collect();
        let frame = compress(&bytes, <[u8]>::to_vec).unwrap();
        assert_eq!(decompress(&frame).unwrap(), bytes);
        for length in 0..frame.len() {
            assert!(decompress(&frame[..length]).is_err(), "cut at {length}");
        }
    }
}
