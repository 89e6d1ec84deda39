//! Reads feature gates, as far as they decide whether kubelet starts in a user namespace in which it cannot write its
//! tunables.

use std::collections::BTreeMap;

use super::flags::parse_bool;

const IN_USER_NAMESPACE: &str = "KubeletInUserNamespace";
const ALL_ALPHA: &str = "AllAlpha";
const ALL_BETA: &str = "AllBeta";

/// Some feature gates with their settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gates {
    set: BTreeMap<&'static str, bool>,
}

/// The name as it stands here, if the gate matters.
pub(super) fn known(name: &str) -> Option<&'static str> {
    [IN_USER_NAMESPACE, ALL_ALPHA, ALL_BETA]
        .into_iter()
        .find(|&known| known == name)
}

impl Gates {
    /// Sets the gate, if it matters.
    pub(super) fn set(&mut self, name: &str, on: bool) {
        if let Some(name) = known(name) {
            self.set.insert(name, on);
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.set.clear();
    }

    /// Sets those that the others set.
    pub(super) fn put_over(&mut self, others: &Self) {
        self.set.extend(&others.set);
    }

    /// Each gate that matters and is set.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, bool)> {
        self.set.iter().map(|(&name, &on)| (name, on))
    }

    /// Reads a value of `--feature-gates`, such as `A=true,B=false`, and returns the first gate that does not matter
    /// here. Source: `MapStringBool` in `k8s.io/component-base/cli/flag`.
    ///
    /// # Errors
    ///
    /// Returns the part that kubelet does not take.
    pub(super) fn read<'a>(&mut self, value: &'a str) -> Result<Option<&'a str>, &'a str> {
        let mut other = None;
        for part in value.split(',').filter(|part| !part.is_empty()) {
            let (name, on) = part.split_once('=').ok_or(part)?;
            let on = parse_bool(on.trim().as_bytes()).ok_or(part)?;
            let name = name.trim();
            self.set(name, on);
            if known(name).is_none() {
                other = other.or(Some(name));
            }
        }
        Ok(other)
    }

    /// The setting of `KubeletInUserNamespace` that holds in each version; none where it depends on the version.
    ///
    /// Up to 1.36 the gate is alpha and off, from 1.37 on it is beta and on. Source: `setUnsetAlphaGates` and
    /// `setUnsetBetaGates` in `k8s.io/component-base/featuregate`.
    pub(super) fn in_user_namespace(&self) -> Option<bool> {
        let get = |name| self.set.get(name).copied();
        let as_alpha = get(ALL_ALPHA).unwrap_or(false);
        let as_beta = get(ALL_BETA).unwrap_or(true);
        get(IN_USER_NAMESPACE).or((as_alpha == as_beta).then_some(as_alpha))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_itself_beats_those_for_all() {
        for (value, expected) in [
            ("", None),
            ("KubeletInUserNamespace=true", Some(true)),
            ("KubeletInUserNamespace=false", Some(false)),
            (" KubeletInUserNamespace = T ,", Some(true)),
            (
                "KubeletInUserNamespace=true,KubeletInUserNamespace=0",
                Some(false),
            ),
            ("AllAlpha=true", Some(true)),
            ("AllAlpha=false", None),
            ("AllBeta=true", None),
            ("AllBeta=false", Some(false)),
            ("AllAlpha=true,AllBeta=false", None),
            ("AllAlpha=true,AllBeta=true", Some(true)),
            ("AllAlpha=true,KubeletInUserNamespace=false", Some(false)),
            ("KubeletInUserNamespace=true,AllBeta=false", Some(true)),
            ("kubeletInUserNamespace=true", None),
        ] {
            let mut gates = Gates::default();
            gates.read(value).unwrap();
            assert_eq!(gates.in_user_namespace(), expected, "{value}");
        }
    }

    #[test]
    fn finds_what_kubelet_does_not_take_and_what_it_may_not_know() {
        let read = |value| Gates::default().read(value);
        assert_eq!(read("AllAlpha"), Err("AllAlpha"));
        assert_eq!(read("AllAlpha=yes"), Err("AllAlpha=yes"));
        assert_eq!(read("X=true=false"), Err("X=true=false"));
        assert_eq!(read("AllAlpha=true,X=true,Y=0"), Ok(Some("X")));
        assert_eq!(read("AllAlpha=true"), Ok(None));
    }
}
