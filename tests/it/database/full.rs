//! A database without room.

use std::path::{Path, PathBuf};

use super::*;
use crate::support::process::can;

/// A file system of its own, which goes with this.
struct Mounted(PathBuf);

impl Mounted {
    /// None where a test may not do that.
    fn at(place: PathBuf) -> Option<Self> {
        std::fs::create_dir(&place).unwrap();
        let tmpfs = ["-t", "tmpfs", "-o", "size=48m", "tmpfs", place.to_str().unwrap()];
        can("mount", &tmpfs).then(|| Self(place))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn sh(script: &str, directory: &Path) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(directory).status().unwrap();
    assert!(status.success(), "{script}");
}

/// Grants go on while its tables cannot grow, and what waited comes once there is room again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_go_on_while_the_database_has_no_room() {
    let site = Site::new();
    let Some(mut server) = database(&site).await else { return };
    let data: String = {
        let admin = server.admin("postgres").await;
        admin.query_one("SHOW data_directory", &[]).await.unwrap().get(0)
    };
    let data = Path::new(&data);
    server.kill();
    let small = site.path("small");
    let Some(_small) = Mounted::at(small.clone()) else { return };
    let small = small.display();
    // Outside of the site's directory, which is nobody else's.
    sh(
        &format!("chmod 755 {small}/.. && cp -a base/. {small} && chown --reference=base {small}"),
        data,
    );
    sh(&format!("mv base base.before && ln -s {small} base"), data);
    server.run().await;
    let seam = Seam::start(&site, Behaviour::confirm()).await;
    let gateway = site.start(&seam, &[]).await;
    grants(&site, &gateway, 10).await;
    until_all_is_there(&site, &gateway).await;
    sh(&format!("cat /dev/zero > {small}/ballast 2>/dev/null || true"), data);
    for _ in 0..20 {
        // More than what is left in pages that there are.
        grants(&site, &gateway, 20).await;
    }
    let status: Value = serde_json::from_str(&gateway.admin("/status").await.1).unwrap();
    let why = status["database"]["failure"].to_string();
    assert!(why.contains("No space left on device") && why.contains("(53100)"), "{why}");
    assert_eq!(gateway.admin("/readyz").await.0, 200);
    sh(&format!("rm {small}/ballast"), data);
    until_all_is_there(&site, &gateway).await;
    gateway.stop().await;
    assert_eq!(mirrored(&server).await, lines(&site));
    server.kill();
}
