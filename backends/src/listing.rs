//! The page that lists a server's files. All its links are relative, so it works below any prefix.

use std::fmt::Write as _;

use crate::Sample;

/// A page with one card a file, and a small picture on it where `thumbnails` has one of the same stem.
pub(crate) fn page(title: &str, files: &[Sample], thumbnails: &[Sample]) -> String {
    let mut cards = String::new();
    for Sample { name, about, bytes } in files {
        let stem = name.rsplit_once('.').map_or(*name, |(stem, _)| stem);
        let small = thumbnails.iter().find(|small| small.name == format!("thumbnails/{stem}.jpg"));
        let face = small.map_or_else(
            || format!("<span class=\"kind\">{}</span>", name.rsplit('.').next().unwrap_or("file")),
            |small| format!("<img src=\"{}\" alt=\"\">", small.name),
        );
        let size = readable(bytes.len());
        let _ = writeln!(
            cards,
            "<li><a href=\"{name}\">{face}<b>{name}</b></a><span>{about}</span><small>{size}</small></li>"
        );
    }
    include_str!("listing.html").replace("{title}", title).replace("{cards}", &cards)
}

/// `550 KB`: thousands, as browsers and file managers count.
fn readable(bytes: usize) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_000_000 => format!("{} KB", bytes / 1000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(readable(0), "0 bytes");
        assert_eq!(readable(9_999), "9999 bytes");
        assert_eq!(readable(31_925), "31 KB");
        assert_eq!(readable(1_098_788), "1.0 MB");
    }

    #[test]
    fn every_link_is_relative_and_every_picture_has_a_small_one() {
        let page = page("Pictures", crate::IMAGES, crate::embedded::THUMBNAILS);
        for sample in crate::IMAGES {
            assert!(page.contains(&format!("<a href=\"{}\">", sample.name)), "{}", sample.name);
        }
        assert_eq!(page.matches("<img src=\"thumbnails/").count(), crate::IMAGES.len());
        assert!(!page.contains("href=\"/") && !page.contains("src=\"/") && !page.contains("://"));
    }
}
