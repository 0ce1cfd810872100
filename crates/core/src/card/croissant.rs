//! `croissant.json`: metadata after Croissant 1.1, as mlcroissant 1.1.1 was seen to read it.
//!
//! What it would read otherwise than it stands in the file is left out of the fields, and the description says so: objects of
//! JSON Lines, objects within typed columns, and rows of containers that it does not open. Texts of JSON Lines it takes for numbers or
//! dates where a column holds nothing else.

use serde_json::{Value, json};

use super::{Card, CardFile};
use crate::{
    license::License,
    outputs::Container,
    shape::facts::{Column, Type},
};

/// Returns the metadata as text.
pub(super) fn croissant(card: &Card<'_>) -> String {
    let container = card.target.container;
    let (mut distribution, mut sets) = (Vec::new(), Vec::new());
    for (_, files) in card.sides() {
        for file in files {
            distribution.push(json!({
                "@type": "cr:FileObject",
                "@id": file.name,
                "name": file.name,
                "contentUrl": file.name,
                "contentSize": format!("{} B", file.bytes),
                "encodingFormat": encoding(container),
                "sha256": file.sha256,
            }));
            if let Some(set) = record_set(card, file) {
                sets.push(set);
            }
        }
    }
    let mut document = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "name": format!("{}_{}", card.stem, card.target.folder()),
        "description": description(card),
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "distribution": distribution,
        "recordSet": sets,
    });
    if let Some(license) = card.about.licenses().one {
        document["license"] = json!(licence_words(license));
    }
    let mut text = serde_json::to_string_pretty(&document).expect("metadata is plain data");
    text.push('\n');
    text
}

fn licence_words(license: &License) -> Vec<String> {
    license.link.iter().cloned().chain([license.to_string()]).take(1).collect()
}

fn encoding(container: Container) -> &'static str {
    match container {
        Container::Jsonl => "application/jsonlines",
        Container::JsonlZst => "application/zstd",
        Container::Parquet => "application/x-parquet",
        Container::Arrow => "application/vnd.apache.arrow.stream",
        Container::Bin | Container::Npy => "application/octet-stream",
    }
}

fn description(card: &Card<'_>) -> String {
    let about = card.about;
    let mut parts: Vec<String> = about.description.iter().map(|text| text.trim().to_owned()).collect();
    parts.push(format!(
        "{} rows in the shape `{}`, made by datac. README.md says of what.",
        card.rows(),
        card.target.shape
    ));
    match card.target.container {
        Container::JsonlZst => {
            parts.push("The rows are compressed JSON Lines, so no record set describes them.".to_owned())
        }
        Container::Arrow => parts.push("The rows are Arrow streams, so no record set describes them.".to_owned()),
        Container::Bin | Container::Npy => {
            parts.push("The rows are bare token ids, so no record set describes them.".to_owned());
        }
        container => {
            let without: Vec<&str> = card
                .columns
                .iter()
                .filter(|column| field("", "", column, container).is_none())
                .map(|column| &*column.name)
                .collect();
            if !without.is_empty() {
                parts.push(format!(
                    "These columns hold objects that a field cannot describe exactly, and are in the files alone: {}.",
                    without.join(", ")
                ));
            }
            if container == Container::Jsonl && card.columns.iter().any(|column| column.of == Type::Text) {
                parts.push(
                    "Readers that guess types, such as mlcroissant, take a column of JSON Lines whose texts are all digits or dates for \
                     numbers or dates; read the files themselves, or write Parquet."
                        .to_owned(),
                );
            }
            if container == Container::Parquet && card.columns.iter().any(|column| holds_json(&column.of)) {
                parts.push("Columns of objects are described as texts of JSON.".to_owned());
            }
        }
    }
    parts.join(" ")
}

fn holds_json(of: &Type) -> bool {
    match of {
        Type::Json => true,
        Type::List(item) => **item == Type::Json,
        _ => false,
    }
}

fn record_set(card: &Card<'_>, file: &CardFile) -> Option<Value> {
    let container = card.target.container;
    if !matches!(container, Container::Jsonl | Container::Parquet) {
        return None;
    }
    // One file is one set: the rows of a side are those of its files.
    let alone = card.files.iter().filter(|other| other.side == file.side).count() == 1;
    let name = if alone { file.side.word() } else { file.name.strip_suffix(container.word())?.trim_end_matches('.') };
    let fields: Vec<Value> =
        card.columns.iter().filter_map(|column| field(name, &file.name, column, container)).collect();
    (!fields.is_empty()).then(|| {
        json!({
            "@type": "cr:RecordSet",
            "@id": name,
            "name": name,
            "description": format!("The {} rows of `{}`.", file.rows, file.name),
            "field": fields,
        })
    })
}

/// Returns a column as a field of a set; `None` if it could not be read as it stands in the file.
fn field(set: &str, file: &str, column: &Column, container: Container) -> Option<Value> {
    let id = format!("{set}/{}", column.name);
    let source = json!({ "fileObject": { "@id": file }, "extract": { "column": column.name } });
    let whole = |of: &str| json!({ "@type": "cr:Field", "@id": id, "name": id, "dataType": of, "source": source });
    match &column.of {
        Type::List(item) => match &**item {
            Type::Struct(keys) => {
                let parts: Option<Vec<Value>> = keys
                    .iter()
                    .map(|(key, of)| {
                        let id = format!("{id}/{key}");
                        let mut source = source.clone();
                        source["transform"] = json!({ "jsonPath": format!("$[*].{key}") });
                        Some(json!({ "@type": "cr:Field", "@id": id, "name": id, "dataType": simple(of)?, "source": source }))
                    })
                    .collect();
                Some(json!({ "@type": "cr:Field", "@id": id, "name": id, "repeated": true, "subField": parts? }))
            }
            item => {
                let of = simple(item).or_else(|| as_text(item, container))?;
                let mut field = whole(of);
                field["repeated"] = json!(true);
                Some(field)
            }
        },
        Type::Struct(_) => None,
        of => simple(of).or_else(|| as_text(of, container)).map(whole),
    }
}

/// Returns the type of values that are not made of others.
fn simple(of: &Type) -> Option<&'static str> {
    match of {
        Type::Text => Some("sc:Text"),
        Type::Bool => Some("sc:Boolean"),
        Type::Integer | Type::Int32 | Type::Int8 => Some("sc:Integer"),
        Type::Number => Some("sc:Float"),
        Type::Json | Type::List(_) | Type::Struct(_) => None,
    }
}

/// Objects are texts in typed columns alone.
fn as_text(of: &Type, container: Container) -> Option<&'static str> {
    (*of == Type::Json && container == Container::Parquet).then_some("sc:Text")
}

fn context() -> Value {
    json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "citeAs": "cr:citeAs",
        "column": "cr:column",
        "conformsTo": "dct:conformsTo",
        "cr": "http://mlcommons.org/croissant/",
        "data": { "@id": "cr:data", "@type": "@json" },
        "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
        "dct": "http://purl.org/dc/terms/",
        "equivalentProperty": "cr:equivalentProperty",
        "examples": { "@id": "cr:examples", "@type": "@json" },
        "extract": "cr:extract",
        "field": "cr:field",
        "fileObject": "cr:fileObject",
        "fileProperty": "cr:fileProperty",
        "fileSet": "cr:fileSet",
        "format": "cr:format",
        "includes": "cr:includes",
        "isLiveDataset": "cr:isLiveDataset",
        "jsonPath": "cr:jsonPath",
        "key": "cr:key",
        "md5": "cr:md5",
        "parentField": "cr:parentField",
        "path": "cr:path",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "recordSet": "cr:recordSet",
        "references": "cr:references",
        "regex": "cr:regex",
        "repeated": "cr:repeated",
        "replace": "cr:replace",
        "samplingRate": "cr:samplingRate",
        "sc": "https://schema.org/",
        "separator": "cr:separator",
        "sha256": "sc:sha256",
        "source": "cr:source",
        "subField": "cr:subField",
        "transform": "cr:transform",
    })
}
