//! Parts that few have: where nothing of such a part is set it takes the room of a pointer, for thousands are held at once.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A part of which most often nothing is set.
pub trait Seldom: Default + PartialEq + 'static {
    /// The one of which nothing is set.
    fn empty() -> &'static Self;
}

/// Such a part: read and written as the part itself, stored and sent like it.
#[derive(Debug, Clone)]
pub struct Rare<T>(Option<Box<T>>);

impl<T: Seldom> Default for Rare<T> {
    fn default() -> Rare<T> {
        Rare(None)
    }
}

impl<T: Seldom> From<T> for Rare<T> {
    fn from(part: T) -> Rare<T> {
        Rare((part != *T::empty()).then(|| Box::new(part)))
    }
}

impl<T: Seldom> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(part) => part,
            None => T::empty(),
        }
    }
}

impl<T: Seldom> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Seldom> PartialEq for Rare<T> {
    fn eq(&self, other: &Rare<T>) -> bool {
        **self == **other
    }
}

impl<T: Seldom + Serialize> Serialize for Rare<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de, T: Seldom + Deserialize<'de>> Deserialize<'de> for Rare<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rare<T>, D::Error> {
        T::deserialize(deserializer).map(Rare::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Measures;

    #[test]
    fn nothing_takes_no_room_and_is_written_like_something() {
        let nothing: Rare<Measures> = Measures::default().into();
        assert!(nothing.0.is_none());
        assert_eq!(serde_json::to_value(&nothing).unwrap(), serde_json::to_value(Measures::default()).unwrap());
        let mut something = nothing.clone();
        something.late_ms = Some(1);
        assert_ne!(something, nothing);
        let back: Rare<Measures> = serde_json::from_str(&serde_json::to_string(&something).unwrap()).unwrap();
        assert_eq!((back.late_ms, back == something), (Some(1), true));
        something.late_ms = None;
        assert_eq!(something, nothing, "what is set to nothing is nothing");
    }
}
