//! How the dashboard looks: on a phone, in both colour schemes, and to those who do
//! not see it.

use serde_json::{Value, json};

use super::site::{DESK, PHONE, Site};
use crate::harness::browser::Page;

/// Much to show: long URLs without a space, deep frames, many workers.
fn full() -> (Site, Vec<std::os::unix::net::UnixStream>) {
    let site = Site::stuck(&["--workers", "3", "--threads", "20"]);
    let long = format!("/in_sleep?{}", "x".repeat(300));
    let targets = [long.as_str(), "/in_lock", "/in_recv", "/in_sleep?order=7"];
    let streams = targets.iter().map(|target| site.ask(target)).collect();
    (site, streams)
}

/// Opens all frames, and waits until the stuck requests stand out.
fn open_all(page: &Page) {
    page.wait("document.querySelectorAll('#requests tbody').length === 4");
    page.eval(
        "document.querySelectorAll('#requests .what button').forEach(button => button.click())",
    );
    page.wait("document.querySelectorAll('tbody.stuck .at:not(:empty)').length === 4");
    page.eval("document.querySelectorAll('summary').forEach(summary => summary.click())");
}

/// Everything has its place in 360 pixels, and can be read and touched.
#[test]
fn it_reads_well_on_a_phone() {
    let (site, _streams) = full();
    let page = site.look(PHONE);
    open_all(&page);
    assert_eq!(page.eval("document.documentElement.scrollWidth"), PHONE.0);
    let outside = "[...document.querySelectorAll('main *, header *, footer *')].filter(one => { \
                   const box = one.getBoundingClientRect(); \
                   return box.width && box.right > 0 && (box.right > innerWidth || box.left < 0) \
                   }).map(one => one.outerHTML.slice(0, 200))";
    assert_eq!(page.eval(outside), json!([]));
    let small = "[...document.querySelectorAll('body *')].filter(one => one.childNodes.length && \
                 [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()) && \
                 parseFloat(getComputedStyle(one).fontSize) < 11).map(one => one.outerHTML)";
    assert_eq!(page.eval(small), json!([]));
    // Charts are as wide as they can be, and requests are not cut.
    page.wait("[...document.querySelectorAll('.chart svg')].every(svg => svg.clientWidth > 290)");
    let shown = page.text("#requests");
    assert!(shown.contains(&"x".repeat(280)) && shown.contains("in in_lock"), "{shown}");
    // The numbers of a worker say what they are, for there is no head any more.
    let label =
        "getComputedStyle(document.querySelector('.group td:nth-child(6)'), '::before').content";
    assert_eq!(page.eval(label), "\"Memory\"");
    assert_eq!(page.errors(), Vec::<Value>::new());
}

/// The contrast of all text with what is behind it, as WCAG 2.2 (1.4.3) wants it.
const CONTRAST: &str = r"(() => {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const color = parse(getComputedStyle(one).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')].filter((one) => one.checkVisibility() &&
      [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).flatMap((one) => {
    const style = getComputedStyle(one);
    const [a, b] = [light(parse(one instanceof SVGElement ? style.fill : style.color)), light(behind(one))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    return ratio < 4.5 ? [`${ratio.toFixed(2)} ${one.outerHTML.slice(0, 120)}`] : [];
  });
})()";

#[test]
fn both_colour_schemes_can_be_read() {
    let (site, _streams) = full();
    let mut pages = Vec::new();
    for scheme in ["light", "dark"] {
        let page = Page::open_with(&format!("http://{}/", site.status), DESK, scheme);
        open_all(&page);
        assert_eq!(page.eval(CONTRAST), json!([]), "{scheme}");
        pages.push(page.eval("getComputedStyle(document.body).backgroundColor"));
    }
    assert_ne!(pages[0], pages[1]);
}

/// Landmarks, names and roles; and nothing moves for those who do not want it.
#[test]
fn it_can_be_used_without_seeing_it() {
    let (site, _streams) = full();
    let page = site.look(PHONE);
    open_all(&page);
    let tree = page.command("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let of = |role: &str| -> Vec<&str> {
        let nodes =
            nodes.iter().filter(|node| node["ignored"] == false && node["role"]["value"] == role);
        nodes.map(|node| node["name"]["value"].as_str().unwrap_or("")).collect()
    };
    for landmark in ["banner", "main", "contentinfo"] {
        assert_eq!(of(landmark).len(), 1, "{landmark}");
    }
    assert!(of("region").contains(&"Charts"), "{:?}", of("region"));
    assert_eq!(of("image").iter().filter(|name| name.contains("since 1 min ago")).count(), 5);
    assert!(of("button").contains(&"GET /in_lock"), "{:?}", of("button"));
    for role in ["button", "image", "link", "region", "table", "heading"] {
        assert!(of(role).iter().all(|name| !name.is_empty()), "{role}: {:?}", of(role));
    }
    // Though they do not look like tables here, they are.
    assert!(of("columnheader").contains(&"Memory") && of("cell").contains(&"in the app"));
    assert_eq!(of("status"), [""]);

    let moves = "getComputedStyle(document.querySelector('#link'), '::before').animationName";
    assert_eq!(page.eval(moves), "none");
    page.prefer(&[("prefers-reduced-motion", "no-preference")]);
    assert_eq!(page.eval(moves), "breathe");
}

/// Nobody looks, nobody asks.
#[test]
fn a_hidden_page_asks_nothing() {
    let site = Site::stuck(&[]);
    let page = site.look(DESK);
    let hide = |hidden: bool| {
        page.eval(&format!(
            "Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        ));
    };
    let asked = || page.asked().len();
    hide(true);
    let before = asked();
    // Three questions' time, by the page's own clock; one was on its way.
    page.eval("new Promise(done => setTimeout(done, 3500))");
    assert!(asked() <= before + 1, "{:?}", page.asked());
    hide(false);
    let before = asked();
    crate::harness::wait::until("it asks again", || asked() > before + 1);
}
