//! Authorities, certificates and keys in a folder, made by openssl as an operator would make them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skip::skip;

pub(crate) struct Pki {
    folder: PathBuf,
}

const CURVE: [&str; 4] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];

impl Pki {
    /// With an authority `ca`; `None` after saying that there is no openssl.
    pub(crate) fn new(folder: &Path) -> Option<Self> {
        let there = Command::new("openssl").arg("version").output();
        if !there.is_ok_and(|output| output.status.success()) {
            skip("there is no openssl");
            return None;
        }
        let pki = Self {
            folder: folder.to_owned(),
        };
        pki.authority("ca");
        Some(pki)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The same as text, for a command line.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "openssl {arguments:?}\n{told}");
    }

    /// `NAME.pem` and `NAME.key` of an authority of its own.
    pub(crate) fn authority(&self, name: &str) {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-x509", "-nodes", "-days", "30", "-subj", &subject];
        arguments.extend(CURVE);
        arguments.extend(["-keyout", &key, "-out", &certificate]);
        self.openssl(&arguments);
    }

    /// `NAME.pem` and `NAME.key`, good for these subject alternative names and signed by an authority.
    pub(crate) fn signed(&self, name: &str, names: &str, authority: &str) {
        self.request(name, &[&format!("subjectAltName={names}")]);
        let (request, certificate) = (format!("{name}.csr"), format!("{name}.pem"));
        let (issuer, key) = (format!("{authority}.pem"), format!("{authority}.key"));
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &issuer,
            "-CAkey",
            &key,
            "-CAcreateserial",
            "-days",
            "30",
            "-copy_extensions",
            "copy",
            "-out",
            &certificate,
        ]);
    }

    /// `NAME.key` and `NAME.csr`, which asks for these extensions.
    pub(crate) fn request(&self, name: &str, extensions: &[&str]) {
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-nodes", "-subj", &subject];
        arguments.extend(CURVE);
        for extension in extensions {
            arguments.extend(["-addext", extension]);
        }
        arguments.extend(["-keyout", &key, "-out", &request]);
        self.openssl(&arguments);
    }

    /// The same as [`Pki::signed`], good from and until these times (`20200101000000Z`).
    pub(crate) fn dated(&self, name: &str, names: &str, from: &str, until: &str) {
        self.request(name, &[&format!("subjectAltName={names}")]);
        let settings = "[ca]\ndefault_ca = here\n[here]\ndatabase = index\nrand_serial = yes\nnew_certs_dir = .\n\
            default_md = sha256\npolicy = any\ncopy_extensions = copy\n[any]\ncommonName = supplied\n";
        std::fs::write(self.path("ca.cnf"), settings).unwrap();
        std::fs::write(self.path("index"), "").unwrap();
        let (request, certificate) = (format!("{name}.csr"), format!("{name}.pem"));
        self.openssl(&[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.cnf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            &request,
            "-startdate",
            from,
            "-enddate",
            until,
            "-out",
            &certificate,
        ]);
    }
}
