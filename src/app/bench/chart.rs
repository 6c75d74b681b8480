//! The figures as a picture: a bar for each, in a group for each unit and part, with a line where the aim is. An SVG that any
//! browser shows, light or dark.

use std::fmt::Write as _;

use super::report::{Figure, Report, amount};

const WIDTH: f64 = 900.0;
/// Where bars begin, and the longest.
const LEFT: f64 = 420.0;
const LONGEST: f64 = 340.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const HEAD: f64 = 70.0;
const GAP: f64 = 18.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1d2a28}.head{font-size:18px;font-weight:600}.quiet{fill:#5a6966}\
.bar{fill:#0f766e}.other{fill:#9fb3ae}.aim{stroke:#b45309;stroke-width:2}.page{fill:#fff}\
@media(prefers-color-scheme:dark){text{fill:#e9f0ee}.quiet{fill:#a5b5b1}.bar{fill:#5ec2ae}.other{fill:#55716a}.page{fill:#101716}}";

/// Draws all figures of a report.
pub(super) fn draw(report: &Report) -> String {
    let groups = groups(report.figures());
    let rows: usize = groups.iter().map(Vec::len).sum();
    let height = HEAD + rows as f64 * ROW + groups.len() as f64 * GAP + 30.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"tidings bench\">\n\
         <style>{STYLE}</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"head\" x=\"20\" y=\"32\">tidings bench</text>\n<text class=\"quiet\" x=\"20\" y=\"52\">{}</text>\n",
        escaped(&report.place())
    );
    let mut y = HEAD;
    for group in groups {
        let most = group
            .iter()
            .flat_map(|figure| [figure.value, figure.aim.unwrap_or(0.0)])
            .fold(f64::MIN_POSITIVE, f64::max);
        for figure in group {
            row(&mut svg, figure, y, most);
            y += ROW;
        }
        y += GAP;
    }
    let _ = writeln!(
        svg,
        "<text class=\"quiet\" x=\"20\" y=\"{:.0}\">A line across a bar: what is aimed at. Grey: references of the same run.</text>\n</svg>",
        y + 8.0
    );
    svg
}

/// Figures that share a scale.
fn groups(figures: &[Figure]) -> Vec<Vec<&Figure>> {
    let mut groups: Vec<Vec<&Figure>> = Vec::new();
    for figure in figures {
        let same = |first: &Figure| (first.part, first.unit) == (figure.part, figure.unit);
        match groups
            .iter_mut()
            .find(|group| group.first().is_some_and(|first| same(first)))
        {
            Some(group) => group.push(figure),
            None => groups.push(vec![figure]),
        }
    }
    groups
}

fn row(svg: &mut String, figure: &Figure, y: f64, most: f64) {
    let length = (figure.value / most * LONGEST).max(1.0);
    let class = if figure.what.starts_with("reference") {
        "other"
    } else {
        "bar"
    };
    let middle = y + BAR - 3.0;
    let _ = write!(
        svg,
        "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{}</text>\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>",
        LEFT - 10.0,
        escaped(figure.what.trim_start_matches("reference: "))
    );
    let mut end = length;
    if let Some(aim) = figure.aim {
        let at = aim / most * LONGEST;
        end = end.max(at);
        let (x, top, bottom) = (LEFT + at, y - 3.0, y + BAR + 3.0);
        let _ = write!(
            svg,
            "<line class=\"aim\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{middle:.0}\">{}</text>",
        LEFT + end + 8.0,
        escaped(&amount(figure.value, figure.unit))
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
