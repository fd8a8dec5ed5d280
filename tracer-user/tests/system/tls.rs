//! The listener behind TLS, asked by curl.

use std::fs;

use libtest_mimic::Trial;
use testing::{Result, daemon::Daemon, process::output};

use crate::{GOSTUCK, trial};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "tls and token: curl gets in with both only",
        &["curl"],
        curl_gets_in_with_both_only,
    )]
}

fn curl_gets_in_with_both_only() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .map_err(|error| error.to_string())?;
    for (name, text) in [
        ("cert", made.cert.pem()),
        ("key", made.signing_key.serialize_pem()),
        ("token", format!("{TOKEN}\n")),
    ] {
        fs::write(path(name), text).map_err(|error| error.to_string())?;
    }
    let (certificate, key, token) = (path("cert"), path("key"), path("token"));
    let options = [
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--token-file",
        &token,
    ];
    let daemon = Daemon::run(GOSTUCK, &options)?;
    let curl = |scheme: &str, more: &[&str]| -> Result<String> {
        let url = format!("{scheme}://localhost:{}/api/v1/processes", daemon.port());
        let status = [
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{http_version}",
            &url,
        ];
        let output = output("curl", &[&status[..], more].concat())?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let trusted = ["--cacert", certificate.as_str()];
    assert_eq!(
        curl("https", &[&trusted[..], &["-H", &bearer]].concat())?,
        "200 1.1"
    );
    assert_eq!(curl("https", &trusted)?, "401 1.1");
    // A stranger to the certificate, and whoever speaks no TLS, get nothing.
    assert_eq!(curl("https", &["-H", &bearer])?, "000 0");
    assert_eq!(curl("http", &["-H", &bearer])?, "000 0");
    drop(daemon);
    let swapped = ["run", "--tls-cert", &key, "--tls-key", &certificate];
    let refused = output(GOSTUCK, &swapped)?;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    Ok(())
}
