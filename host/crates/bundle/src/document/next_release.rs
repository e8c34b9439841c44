//! Making releases: the first of a channel, the one after, and what changes from one to the other. A rule for makers
//! and for showing to people; whether a release is believed is `release`'s work.

use semver::Version;
use venom_protocol::Timestamp;

use super::{BundleRef, Channel, DocumentError, Entry, Release, Root, Selector};
use crate::Digest;
use crate::capability::SkillPolicy;

/// What a release does to one entry of the release before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EntryChange<'a> {
    /// The skill.
    pub skill: &'a str,
    /// What its spores had; absent: it is new.
    pub from: Option<&'a Entry>,
    /// What they get; absent: it goes.
    pub to: Option<&'a Entry>,
}

impl Release {
    /// A release of no entries, the first of its epoch.
    #[must_use]
    pub fn first(root: &Root, channel: Channel, created: Timestamp, expires: Timestamp) -> Self {
        Self {
            format: Self::FORMAT,
            swarm_id: root.swarm_id.clone(),
            channel,
            epoch: root.epoch,
            seq: 1,
            prev_sha256: None,
            created,
            expires,
            entries: Vec::new(),
            revoked: Vec::new(),
        }
    }

    /// The release after this one, whose payload has digest `own`: the same entries, nothing more revoked. Where the
    /// root has begun another epoch, it is the first of that.
    #[must_use]
    pub fn next(&self, own: Digest, root: &Root, created: Timestamp, expires: Timestamp) -> Self {
        let goes_on = self.epoch == root.epoch;
        Self {
            seq: if goes_on { self.seq.saturating_add(1) } else { 1 },
            prev_sha256: goes_on.then_some(own),
            entries: self.entries.clone(),
            revoked: self.revoked.clone(),
            ..Self::first(root, self.channel.clone(), created, expires)
        }
    }

    /// Puts a bundle in. For everybody, it takes the place of all entries of the skill. For some, it takes the place of
    /// the entry for the same ones, or else comes before the others, as the first that selects a spore counts. Floor,
    /// fallback and grants of the entry it replaces stay; an approval stays with its bundle.
    pub fn put(&mut self, skill: &str, bundle: BundleRef, selector: Selector) {
        let first = self.entries.iter().position(|entry| entry.skill == skill);
        let same = |entry: &Entry| entry.skill == skill && entry.selector.normal() == selector.normal();
        let replaced = self.entries.iter().find(|entry| same(entry));
        let entry = Entry {
            skill: skill.to_owned(),
            grants: replaced.and_then(|entry| entry.grants.clone()),
            floor: replaced.and_then(|entry| entry.floor.clone()),
            fallback: replaced
                .and_then(|entry| entry.fallback.clone())
                .filter(|fallback| fallback.sha256 != bundle.sha256),
            approved: replaced.is_some_and(|entry| entry.approved && entry.bundle.sha256 == bundle.sha256),
            bundle,
            selector,
        };
        if entry.selector.normal() == Selector::default().normal() {
            self.entries.retain(|entry| entry.skill != skill);
        } else if let Some(place) = self
            .entries
            .iter_mut()
            .find(|old| old.skill == skill && old.selector.normal() == entry.selector.normal())
        {
            *place = entry;
            return;
        }
        let place = first.unwrap_or(self.entries.len()).min(self.entries.len());
        self.entries.insert(place, entry);
    }

    /// Takes a skill out; says whether it was there.
    pub fn remove(&mut self, skill: &str) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.skill != skill);
        self.entries.len() < before
    }

    /// Approves what the bundles of a skill ask for; says whether it is there.
    pub fn approve(&mut self, skill: &str) -> bool {
        self.edit(skill, |entry| entry.approved = true)
    }

    /// Grants all entries of a skill these rights; says whether it is there.
    pub fn grant(&mut self, skill: &str, grants: &SkillPolicy) -> bool {
        self.edit(skill, |entry| entry.grants = Some(grants.clone()))
    }

    /// Lets no version of a skill below `floor` answer calls; says whether it is there.
    pub fn set_floor(&mut self, skill: &str, floor: &Version) -> bool {
        self.edit(skill, |entry| entry.floor = Some(floor.clone()))
    }

    /// Gives all entries of a skill something to fall back to, but for those that are that bundle; says whether it is there.
    pub fn set_fallback(&mut self, skill: &str, bundle: &BundleRef) -> bool {
        self.edit(skill, |entry| {
            if entry.bundle.sha256 != bundle.sha256 {
                entry.fallback = Some(bundle.clone());
            }
        })
    }

    /// Names one more place from which the bundles of a skill may come; says whether it is there.
    pub fn add_source(&mut self, skill: &str, url: &str) -> bool {
        self.edit(skill, |entry| {
            if !entry.bundle.sources.iter().any(|known| known == url) {
                entry.bundle.sources.push(url.to_owned());
            }
        })
    }

    /// Revokes bundles and keys.
    pub fn revoke(&mut self, digests: &[Digest]) {
        for digest in digests {
            if !self.revoked.contains(digest) {
                self.revoked.push(*digest);
            }
        }
    }

    fn edit(&mut self, skill: &str, change: impl Fn(&mut Entry)) -> bool {
        let mut found = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.skill == skill) {
            change(entry);
            found = true;
        }
        found
    }

    /// The same, if a spore could take it.
    ///
    /// # Errors
    /// [`DocumentError::Value`] names what no release may say.
    pub fn checked(self) -> Result<Self, DocumentError> {
        self.check()?;
        Ok(self)
    }

    /// What is another bundle than in `before`, what is new, and what goes. An entry is compared with the one for the
    /// same spores; where there was none, with the one most of them had.
    #[must_use]
    pub fn changes<'a>(&'a self, before: Option<&'a Self>) -> Vec<EntryChange<'a>> {
        let old = before.map_or(&[][..], |before| &before.entries);
        let arriving = self.entries.iter().filter_map(|entry| {
            let from = predecessor(old, entry);
            let same = from.is_some_and(|from| from.bundle.sha256 == entry.bundle.sha256);
            (!same).then_some(EntryChange {
                skill: &entry.skill,
                from,
                to: Some(entry),
            })
        });
        let mut gone: Vec<&Entry> = Vec::new();
        for entry in old {
            let known = gone.iter().any(|known| known.skill == entry.skill);
            if !known && !self.entries.iter().any(|kept| kept.skill == entry.skill) {
                gone.push(entry);
            }
        }
        let leaving = gone.into_iter().map(|entry| EntryChange {
            skill: &entry.skill,
            from: Some(entry),
            to: None,
        });
        arriving.chain(leaving).collect()
    }
}

fn predecessor<'a>(old: &'a [Entry], entry: &Entry) -> Option<&'a Entry> {
    let of_skill = || old.iter().filter(|known| known.skill == entry.skill);
    of_skill()
        .find(|known| known.selector == entry.selector)
        .or_else(|| of_skill().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SigningKey;

    fn root() -> Root {
        let key = SigningKey::from_seed(&[1; 32]).public();
        let times = ["2026-01-01", "2036-01-01"].map(|day| Timestamp::parse(&format!("{day}T00:00:00Z")).unwrap());
        Root::first("one".parse().unwrap(), &key, &key, times[0], times[1])
    }

    fn release() -> Release {
        Release::first(&root(), Channel::default(), root().created, root().expires)
    }

    fn bundle(version: &str) -> BundleRef {
        BundleRef {
            version: version.parse().unwrap(),
            sha256: Digest::of(version.as_bytes()),
            file_sha256: Digest::of(version.as_bytes()),
            size: 1,
            sources: Vec::new(),
        }
    }

    fn tagged(tag: &str) -> Selector {
        Selector {
            tags: vec![tag.to_owned()],
            ..Selector::default()
        }
    }

    /// `skill version tag`, in order.
    fn entries(release: &Release) -> Vec<String> {
        let words = |entry: &Entry| {
            let tags = entry.selector.tags.join(",");
            format!("{} {} {tags}", entry.skill, entry.bundle.version)
                .trim_end()
                .to_owned()
        };
        release.entries.iter().map(words).collect()
    }

    #[test]
    fn the_next_release_goes_on_or_begins_an_epoch() {
        let own = Digest::of(b"own");
        let mut first = release();
        first.put("Echo", bundle("1.0.0"), Selector::default());
        first.revoke(&[own, own]);
        let next = first.next(own, &root(), root().created, root().expires);
        assert_eq!((next.epoch, next.seq, next.prev_sha256), (1, 2, Some(own)));
        assert_eq!((&next.entries, &next.revoked), (&first.entries, &vec![own]));
        let risen = Root { epoch: 2, ..root() };
        let anew = next.next(own, &risen, root().created, root().expires);
        assert_eq!((anew.epoch, anew.seq, anew.prev_sha256), (2, 1, None));
        assert_eq!(anew.entries, first.entries);
    }

    #[test]
    fn a_bundle_for_some_comes_first_and_one_for_all_replaces_all() {
        let mut release = release();
        release.put("Echo", bundle("1.0.0"), Selector::default());
        release.put("File", bundle("1.0.0"), Selector::default());
        release.put("Echo", bundle("2.0.0"), tagged("canary"));
        assert_eq!(entries(&release), ["Echo 2.0.0 canary", "Echo 1.0.0", "File 1.0.0"]);
        release.put("Echo", bundle("2.1.0"), tagged("canary"));
        assert_eq!(entries(&release), ["Echo 2.1.0 canary", "Echo 1.0.0", "File 1.0.0"]);
        release.put("Echo", bundle("3.0.0"), Selector::default());
        assert_eq!(entries(&release), ["Echo 3.0.0", "File 1.0.0"]);
        assert!(release.remove("Echo") && !release.remove("Echo"));
        assert_eq!(entries(&release), ["File 1.0.0"]);
    }

    #[test]
    fn a_replaced_entry_leaves_its_floor_but_no_approval() {
        let mut release = release();
        release.put("Echo", bundle("1.0.0"), Selector::default());
        let floor: Version = "1.0.0".parse().unwrap();
        assert!(release.set_floor("Echo", &floor) && release.approve("Echo"));
        assert!(release.set_fallback("Echo", &bundle("1.0.0")) && release.entries[0].fallback.is_none());
        assert!(release.set_fallback("Echo", &bundle("1.1.0")) && release.add_source("Echo", "https://a"));
        assert!(release.grant("Echo", &SkillPolicy::default()) && !release.approve("Other"));
        release.put("Echo", bundle("1.0.0"), Selector::default());
        assert!(release.entries[0].approved, "it is what was approved");
        release.put("Echo", bundle("2.0.0"), Selector::default());
        let entry = &release.entries[0];
        assert!(!entry.approved && entry.bundle.sources.is_empty());
        assert!(entry.grants.is_some() && entry.fallback.is_some());
        assert_eq!(entry.floor, Some(floor));
        release.put("Echo", bundle("1.1.0"), Selector::default());
        assert!(release.entries[0].fallback.is_none(), "no bundle falls back to itself");
        release.put("Echo", bundle("0.9.0"), Selector::default());
        let error = release.checked().unwrap_err().to_string();
        assert!(error.contains("floor"), "{error}");
    }

    #[test]
    fn changes_are_other_bundles_new_skills_and_gone_ones() {
        let mut before = release();
        for skill in ["Same", "Moved", "Gone"] {
            before.put(skill, bundle("1.0.0"), Selector::default());
        }
        let mut after = before.clone();
        after.put("Moved", bundle("2.0.0"), tagged("canary"));
        after.put("New", bundle("1.0.0"), Selector::default());
        after.remove("Gone");
        let changes = after.changes(Some(&before));
        let version = |entry: Option<&Entry>| entry.map_or("-".to_owned(), |entry| entry.bundle.version.to_string());
        let words: Vec<String> = changes
            .iter()
            .map(|change| format!("{} {} {}", change.skill, version(change.from), version(change.to)))
            .collect();
        assert_eq!(words, ["Moved 1.0.0 2.0.0", "New - 1.0.0", "Gone 1.0.0 -"]);
        assert_eq!(after.changes(None).len(), after.entries.len());
        assert!(after.changes(Some(&after)).is_empty());
    }

    #[test]
    fn the_same_spores_in_other_words_are_the_same_spores() {
        let with = |tags: &[&str], percent| Selector {
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            percent,
            ..Selector::default()
        };
        let mut next = release();
        next.put("EchoSkill", bundle("1.0.0"), with(&["a", "b"], None));
        next.put("EchoSkill", bundle("2.0.0"), with(&["b", "a"], Some(100)));
        let [entry] = &next.entries[..] else { panic!("{next:?}") };
        assert_eq!(entry.bundle, bundle("2.0.0"));
        next.put("EchoSkill", bundle("3.0.0"), with(&[], Some(100)));
        let [entry] = &next.entries[..] else { panic!("{next:?}") };
        assert_eq!(entry.bundle, bundle("3.0.0"));
        next.checked().unwrap();
    }
}
