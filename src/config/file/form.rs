//! What values and sections look like to serde: words, one or several, by name, each with its place.

use super::Backend;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;
use toml::Spanned;

/// One word of the file: a string, or a whole number in decimal. `listen = 80` and `listen = "80"` are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub String);

/// A value that may be absent.
pub type Setting = Option<Spanned<Word>>;

/// One or several values that may be absent.
pub type Words = Option<Spanned<Many<Word>>>;

/// A section whose keys are names that the file chooses.
pub type Table = Named<Spanned<Many<Word>>>;

/// One value or a list of them: `server = "a"` and `server = ["a", "b"]`.
#[derive(Debug)]
pub enum Many<T> {
    /// Without brackets; its place is that of the whole.
    One(T),
    /// With brackets.
    List(Vec<Spanned<T>>),
}

/// `[kind.NAME]` sections in the order of the file.
#[derive(Debug)]
pub struct Named<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Many<T> {
    /// Every value with its place, given the place of the whole.
    pub fn items(many: &Spanned<Many<T>>) -> Vec<(&T, Range<usize>)> {
        match many.get_ref() {
            Many::One(value) => vec![(value, many.span())],
            Many::List(values) => values.iter().map(|v| (v.get_ref(), v.span())).collect(),
        }
    }
}

impl<T> Default for Named<T> {
    fn default() -> Named<T> {
        Named(Vec::new())
    }
}

struct WordVisitor;

impl Visitor<'_> for WordVisitor {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a string in quotes or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(text.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    // Out of every range, but `build` says so better.
    fn visit_i128<E: Error>(self, number: i128) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    fn visit_u128<E: Error>(self, number: u128) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Word, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct BackendVisitor;

impl<'de> Visitor<'de> for BackendVisitor {
    type Value = Backend;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an address in quotes or a table with `address` and `weight`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Backend, E> {
        WordVisitor.visit_str(text).map(Backend::Word)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Backend, E> {
        WordVisitor.visit_i64(number).map(Backend::Word)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Backend, A::Error> {
        Box::deserialize(MapAccessDeserializer::new(map)).map(Backend::Table)
    }
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Backend, D::Error> {
        deserializer.deserialize_any(BackendVisitor)
    }
}

struct ManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ManyVisitor<T> {
    type Value = Many<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("one value or a list of values")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Many<T>, E> {
        T::deserialize(text.into_deserializer()).map(Many::One)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Many<T>, E> {
        T::deserialize(number.into_deserializer()).map(Many::One)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Many<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Many::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Many<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Many::List)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Many<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Many<T>, D::Error> {
        deserializer.deserialize_any(ManyVisitor(PhantomData))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("sections with names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
        let mut sections: Vec<(Spanned<String>, T)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            sections.push(entry);
        }
        // The parser hands tables out by name; people count from the top.
        sections.sort_by_key(|(name, _)| name.span().start);
        Ok(Named(sections))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Named<T>, D::Error> {
        deserializer.deserialize_map(NamedVisitor(PhantomData))
    }
}
