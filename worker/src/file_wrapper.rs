//! `wsgi.file_wrapper`: a file as a response body.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use pyo3::prelude::*;
use rustix::fs::{FileType, fstat};

use crate::descriptor;

/// How much is read from a file at once, in bytes.
const BLOCK: usize = 64 * 1024;

/// The same where Python is not asked for it.
const READ: usize = 256 * 1024;

/// An iterable over a file-like object's blocks.
#[pyclass(frozen, module = "flupd_worker")]
pub(crate) struct FileWrapper {
    #[pyo3(get)]
    filelike: Py<PyAny>,
    #[pyo3(get)]
    blksize: usize,
}

/// A part of a regular file that can be sent without Python.
#[derive(Debug)]
pub(crate) struct PlainFile {
    pub(crate) file: File,
    /// From where to send.
    pub(crate) at: u64,
    /// How much there is to send, as of now.
    pub(crate) length: u64,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize=BLOCK))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> Self {
        Self { filelike, blksize: blksize.max(1) }
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self.filelike.bind(py).call_method1("read", (self.blksize,))?;
        Ok(block.is_truthy()?.then_some(block))
    }

    /// Closes the file-like object, if that can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(close) = self.filelike.bind(py).getattr_opt("close")? {
            close.call0()?;
        }
        Ok(())
    }
}

impl FileWrapper {
    /// The regular file beneath; `None` when only `read` knows what comes.
    ///
    /// Only what `open()` makes for binary files qualifies. Others have a
    /// `fileno` too, but not its bytes: `gzip.GzipFile`, text files.
    pub(crate) fn plain_file(&self, py: Python<'_>) -> PyResult<Option<PlainFile>> {
        let mut filelike = self.filelike.bind(py).clone();
        let tempfile = py.import("sys")?.getattr("modules")?.call_method1("get", ("tempfile",))?;
        if let Some(wrapper) = tempfile.getattr_opt("_TemporaryFileWrapper")?
            && filelike.get_type().is(&wrapper)
        {
            filelike = filelike.getattr("file")?;
        }
        let io = py.import("io")?;
        let is = |object: &Bound<'_, PyAny>, kind: &str| {
            Ok::<_, PyErr>(object.get_type().is(&io.getattr(kind)?))
        };
        let buffered = is(&filelike, "BufferedReader")? || is(&filelike, "BufferedRandom")?;
        let raw = if buffered { filelike.getattr("raw")? } else { filelike.clone() };
        if !is(&raw, "FileIO")? {
            return Ok(None);
        }
        if buffered {
            filelike.call_method0("flush")?;
        }
        let at: u64 = match filelike.call_method0("tell") {
            Ok(at) => at.extract()?,
            // A pipe.
            Err(_) => return Ok(None),
        };
        let fd: i32 = filelike.call_method0("fileno")?.extract()?;
        Ok(PlainFile::new(fd, at)?)
    }
}

impl PlainFile {
    fn new(fd: i32, at: u64) -> io::Result<Option<Self>> {
        let file = File::from(descriptor::duplicate(fd)?);
        let stat = fstat(&file)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let plain = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(plain.then(|| Self { file, at, length: size.saturating_sub(at) }))
    }

    /// The next block, into a buffer that is used again; empty at the end.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let size = usize::try_from(self.length).map_or(READ, |left| left.min(READ));
        buffer.resize(size, 0);
        let got = self.file.read_at(buffer, self.at)?;
        self.at += got as u64;
        self.length -= got as u64;
        Ok(buffer.get(..got).unwrap_or_default())
    }
}
