//! The programs that the checks run: cargo builds them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The directory of the built programs: `target/debug`, with `examples` in it. Builds the
/// examples when they are not current, which `cargo test` has done already and `cargo test
/// --test book` has not. The profile is that of tests, in which redb is optimized: with another one cargo would
/// build the library and all examples again.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let larder = PathBuf::from(env!("CARGO_BIN_EXE_larder"));
        let profile = larder
            .parent()
            .expect("a program lies in a directory")
            .to_path_buf();
        let target = profile
            .parent()
            .expect("and that one in the target directory");
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--examples", "--target-dir"])
            .arg(target);
        let optimized = profile.ends_with("release");
        cargo.args(["--profile", if optimized { "release" } else { "test" }]);
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "the examples do not build"
        );
        profile
    })
}
