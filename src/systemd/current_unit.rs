//! Finds in which systemd unit this process runs.

use std::path::Path;

use super::FILE_LIMIT;
use crate::files::file;

/// Finds the service that this process runs in, by its own cgroup; none when a person started it.
pub fn current_unit(root: &Path) -> Option<String> {
    let read = |path: &str| {
        let mut content = Vec::new();
        file::read(&root.join(path), FILE_LIMIT, &mut content).ok()?;
        String::from_utf8(content).ok()
    };
    let own = read("proc/self/cgroup")?;
    // Where /proc/1 is hidden there is no prefix to take off, as on any machine that is not a container.
    let init = read("proc/1/cgroup").unwrap_or_default();
    unit_of(&own, &init)
}

/// Finds the unit in cgroups(7)'s `/proc/PID/cgroup`, given that file of PID 1 too.
fn unit_of(own: &str, init: &str) -> Option<String> {
    // cgroup v2 and the hybrid hierarchy have the unit in the first of the two, v1 in the second.
    ["::", ":name=systemd:"].iter().find_map(|hierarchy| {
        let path = path_in(own, hierarchy)?;
        let root = path_in(init, hierarchy).unwrap_or_default();
        let root = root.strip_suffix("/init.scope").unwrap_or(root);
        service_in(path.strip_prefix(root).unwrap_or(path))
    })
}

/// Finds the path in the hierarchy of this name; `name` is what follows its number.
fn path_in<'a>(cgroup: &'a str, name: &str) -> Option<&'a str> {
    let path = |line: &'a str| line.trim_start_matches(char::is_numeric).strip_prefix(name);
    cgroup.lines().find_map(path)
}

/// Finds the first part of the path below all slices; what is below the unit is the unit's own affair.
fn service_in(path: &str) -> Option<String> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let unit = parts.find(|part| part.strip_suffix(".slice").is_none())?;
    // systemd puts a `_` before a name that the kernel might take for one of its own files (cg_escape).
    let unit = unit.strip_prefix('_').unwrap_or(unit);
    let name = unit.strip_suffix(".service")?;
    (!name.is_empty()).then(|| unit.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_unit_in_each_kind_of_hierarchy() {
        let v1 = "12:cpu,cpuacct:/system.slice/kubelet.service\n1:name=systemd:/system.slice/kubelet.service\n";
        let hybrid =
            "1:name=systemd:/system.slice/kubelet.service\n0::/system.slice/kubelet.service\n";
        let hybrid_by_name = "1:name=systemd:/system.slice/kubelet.service\n0::/\n";
        let nested = "0::/machine.slice/kind.scope/system.slice/kubelet.service\n";
        let cases = [
            (
                "v2",
                "0::/system.slice/kubelet.service\n",
                "0::/init.scope\n",
                Some("kubelet.service"),
            ),
            (
                "v1",
                v1,
                "1:name=systemd:/init.scope\n",
                Some("kubelet.service"),
            ),
            (
                "hybrid",
                hybrid,
                "0::/init.scope\n",
                Some("kubelet.service"),
            ),
            (
                "hybrid, v1 only",
                hybrid_by_name,
                "0::/\n",
                Some("kubelet.service"),
            ),
            (
                "control group",
                "0::/system.slice/kubelet.service/.control\n",
                "",
                Some("kubelet.service"),
            ),
            (
                "sub-group",
                "0::/system.slice/kubelet.service/a/b.service\n",
                "",
                Some("kubelet.service"),
            ),
            (
                "other name",
                "0::/system.slice/k8s-kubelet.service\n",
                "",
                Some("k8s-kubelet.service"),
            ),
            (
                "own slice",
                "0::/kube.slice/kube-node.slice/kubelet.service\n",
                "",
                Some("kubelet.service"),
            ),
            (
                "instance",
                "0::/system.slice/system-kubelet.slice/kubelet@1.service\n",
                "",
                Some("kubelet@1.service"),
            ),
            (
                "escaped",
                "0::/system.slice/_cpu.service\n",
                "",
                Some("cpu.service"),
            ),
            (
                "unit name with escapes",
                "0::/system.slice/a\\x2db.service\n",
                "",
                Some("a\\x2db.service"),
            ),
            (
                "container",
                nested,
                "0::/machine.slice/kind.scope/init.scope\n",
                Some("kubelet.service"),
            ),
            (
                "no slice",
                "0::/kubelet.service\n",
                "",
                Some("kubelet.service"),
            ),
            (
                "a session",
                "0::/user.slice/user-0.slice/session-3.scope\n",
                "",
                None,
            ),
            ("no group", "0::/\n", "0::/\n", None),
            ("a bare suffix", "0::/system.slice/.service\n", "", None),
            ("nothing", "", "", None),
        ];
        for (case, own, init, unit) in cases {
            assert_eq!(unit_of(own, init).as_deref(), unit, "{case}");
        }
    }
}
