//! The one place that knows zstd: frames with their size, so memory is bounded. They have no checksum: whoever reads them
//! knows what their bytes hash to.

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

/// What zstd's negative levels are made of, put together otherwise: long matches only, found with a table that stays in
/// the processor's first cache, and literals that are Huffman-coded, which those levels leave out. Rows shrink as at level
/// -1, half as quick again: see `docs/performance.md`.
const PARAMETERS: [CParameter; 5] = [
    CParameter::CompressionLevel(-1),
    CParameter::MinMatch(7),
    CParameter::HashLog(11),
    CParameter::TargetLength(5),
    CParameter::LiteralCompressionMode(ParamSwitch::Enable),
];

/// The largest artifact there is; a frame that claims more is damaged.
const MAX_BYTES: u64 = 1 << 30;

/// Room that a thread keeps for frames: for all but the largest chunks.
const MOST_KEPT: usize = 4 << 20;

thread_local! {
    // A context is 1 MB of tables: made once a thread, not once a blob. So is the room for frames, which the system would
    // have to clear each time.
    static COMPRESSOR: RefCell<Option<(Compressor<'static>, Vec<u8>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses an artifact; `take` gets the frame.
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

/// Decompresses an artifact, or says how it is damaged.
pub(super) fn decompress(frame: &[u8]) -> Result<Vec<u8>, String> {
    let size = match zstd::zstd_safe::get_frame_content_size(frame) {
        Ok(Some(size)) if size <= MAX_BYTES => size as usize,
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

/// Compresses `size` bytes as they are written to what this returns, into `out`; [`finish`] ends the frame.
pub(super) fn compress_into<W: Write>(out: W, size: u64) -> std::io::Result<FrameWriter<W>> {
    let mut writer = FrameWriter::new(out, 0)?;
    PARAMETERS.iter().try_for_each(|parameter| writer.set_parameter(*parameter))?;
    writer.set_pledged_src_size(Some(size))?;
    writer.include_contentsize(true)?;
    Ok(writer)
}

/// Ends a frame that was begun with [`compress_into`].
pub(super) fn finish<W: Write>(writer: FrameWriter<W>) -> std::io::Result<W> {
    writer.finish()
}

/// Returns the bytes of the frame that `frame` holds, as they are read.
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
