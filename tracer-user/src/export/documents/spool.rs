//! A document as it is sent: written once, compressed, and shared by all clients that get it, so that
//! a slow one holds nothing up and costs next to no memory.

use std::{
    io::{self, BufWriter, Cursor, Read as _, Write},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};

use super::Format;
use crate::document::Document;

/// Most bytes of a compressed document: some hundred thousand goroutines.
const MAX_BYTES: usize = 16 << 20;
/// Bytes gathered before they are compressed, or sent.
const CHUNK: usize = 64 << 10;

/// Why there is no document in a format.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SpoolError {
    /// It takes more memory than one document may.
    #[error(
        "the document has more than {} MiB when compressed: ask for ?view=groups, or let `gostuck inspect` print it",
        MAX_BYTES >> 20
    )]
    TooLarge,
    /// It could not be written.
    #[error("the document cannot be written: {0}")]
    Failed(String),
}

/// A document in one format.
#[derive(Debug)]
pub struct Spool {
    format: Format,
    /// Compressed by gzip.
    content: Bytes,
    looked: Instant,
}

impl Spool {
    /// Writes `document`, which tells of an inspection of `looked`, in `format`.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn write(document: &Document, format: Format, looked: Instant) -> Result<Self, SpoolError> {
        let bounded = Bounded(Vec::new());
        let written = if format == Format::Pprof {
            let mut out = bounded;
            format.write(&mut out, document).map(|()| out)
        } else {
            let mut out =
                BufWriter::with_capacity(CHUNK, GzEncoder::new(bounded, Compression::fast()));
            let written = format.write(&mut out, document);
            written
                .and_then(|()| out.into_inner().map_err(io::IntoInnerError::into_error))
                .and_then(GzEncoder::finish)
        };
        match written {
            Ok(Bounded(content)) => Ok(Self {
                format,
                content: Bytes::from(content),
                looked,
            }),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Err(SpoolError::TooLarge),
            Err(error) => Err(SpoolError::Failed(error.to_string())),
        }
    }

    /// Its format.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// When the process was looked at.
    #[must_use]
    pub const fn looked(&self) -> Instant {
        self.looked
    }

    /// How long ago that was.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.looked.elapsed()
    }

    /// All of it, compressed by gzip.
    #[must_use]
    pub fn compressed(&self) -> Bytes {
        self.content.clone()
    }

    /// All of it piece by piece, as it is; each is inflated when it is asked for.
    pub fn plain(&self) -> impl Iterator<Item = io::Result<Bytes>> + Send + 'static {
        let mut decoder = GzDecoder::new(Cursor::new(self.compressed()));
        std::iter::from_fn(move || {
            let mut piece = Vec::with_capacity(CHUNK);
            let read = decoder.by_ref().take(CHUNK as u64).read_to_end(&mut piece);
            match read {
                Ok(0) => None,
                Ok(_) => Some(Ok(Bytes::from(piece))),
                Err(error) => Some(Err(error)),
            }
        })
    }
}

/// Takes as many bytes as one document may have.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::example;

    #[test]
    fn what_is_sent_is_the_document_compressed_or_not() {
        let document = example::document();
        let spool = Spool::write(&document, Format::Json, Instant::now()).unwrap();
        let plain: Vec<u8> = spool
            .plain()
            .flat_map(|piece| piece.unwrap().to_vec())
            .collect();
        let mut expected = Vec::new();
        Format::Json.write(&mut expected, &document).unwrap();
        assert_eq!(plain, expected);
        assert!(spool.compressed().len() < plain.len());
    }

    #[test]
    fn what_takes_too_much_memory_is_refused() {
        let mut out = Bounded(Vec::new());
        let piece = vec![0; MAX_BYTES / 2];
        assert!(out.write_all(&piece).is_ok() && out.write_all(&piece).is_ok());
        let error = out.write_all(&[0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
