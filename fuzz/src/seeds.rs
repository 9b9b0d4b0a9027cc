//! Writes the streams of `protocols/corpus` as bytes to where cargo-fuzz looks.

#[path = "../../protocols/corpus/script.rs"]
mod script;

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (protocol, target) in [("fastcgi", "fastcgi_decode"), ("scgi", "scgi_decode")] {
        let to = fuzz.join("corpus").join(target);
        fs::create_dir_all(&to)?;
        for folder in ["valid", "invalid"] {
            for entry in fs::read_dir(fuzz.join("../protocols/corpus").join(protocol).join(folder))?
            {
                let path = entry?.path();
                let script = script::Script::read(&fs::read_to_string(&path)?);
                // Fed in parts of 255 bytes: the targets read that from the first byte.
                let seed = [&[255], &*script.bytes()].concat();
                fs::write(to.join(path.file_stem().unwrap_or_default()), seed)?;
            }
        }
    }
    // The environ target reads lines.
    let to = fuzz.join("corpus/cgi_environ");
    fs::create_dir_all(&to)?;
    let nginx = "/app\nREQUEST_METHOD=GET\nSERVER_SOFTWARE=nginx/1.22.1\nREQUEST_URI=/app/x?y\n\
                 SCRIPT_NAME=/app/x\nDOCUMENT_URI=/app/x\nHTTP_HOST=[::1]:8080\n";
    let apache = "REQUEST_METHOD=GET\nSERVER_SOFTWARE=Apache/2.4.62\nREQUEST_URI=/app/%20x?y\n\
                  SCRIPT_NAME=/app/ x\nSCRIPT_FILENAME=proxy:fcgi://127.0.0.1:9000/%20x\n";
    fs::write(to.join("nginx"), nginx)?;
    fs::write(to.join("apache"), apache)
}
