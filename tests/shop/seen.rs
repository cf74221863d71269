//! The page as a person sees it, in a browser.

use std::path::Path;

use super::running::{RunningShop, until};
use crate::browser_support::{Browser, WINDOW};

#[test]
fn a_product_is_shown_with_its_source_and_the_source_changes_with_the_switch() {
    let shop = RunningShop::start(&[]);
    let Some(mut page) = Browser::open(shop.address()) else {
        return;
    };
    assert_eq!(page.text("name"), "Apple jam");
    assert_eq!(page.text("price"), "3.69");
    assert_eq!(page.text("source"), "read-through");
    page.click("#choose button");
    page.shows("source", "cache");
    page.click("#switch");
    page.shows("switch", "Cache is off");
    assert_eq!(shop.live()["cache_is_on"], false);
    page.click("#choose button");
    page.shows("source", "database");
    page.shows("count-database", "1");
    page.shows("count-cache", "1");
    page.shows("count-read-through", "1");
    page.shows("ratio", "33%");
    page.until("document.querySelectorAll('#plot circle').length === 3");
}

#[test]
fn a_price_that_is_changed_on_the_page_is_shown_and_a_wrong_one_is_explained() {
    let shop = RunningShop::start(&[]);
    let Some(mut page) = Browser::open(shop.address()) else {
        return;
    };
    page.fill("new-price", "4.25");
    page.click("#change button");
    page.until("document.getElementById('changed').innerText.startsWith('4.25 in the database')");
    shop.reports_all();
    until("the new price is read", || {
        shop.product(1)["product"]["price"] == 425
    });
    page.click("#choose button");
    page.shows("price", "4.25");
    page.shows("changes", "1");
    page.fill("new-price", "free");
    page.click("#change button");
    page.until("!document.getElementById('problem').hidden");
    assert_eq!(
        page.text("problem"),
        "That failed: a price is a number like 12.50, up to 1000000.00"
    );
    assert_eq!(page.text("price"), "4.25");
}

#[test]
fn a_name_in_html_is_shown_as_its_letters() {
    let shop = RunningShop::start(&[]);
    let name = "<img src=x onerror=document.title='run'>";
    let form = format!("name={}", name.replace('<', "%3C").replace('>', "%3E"));
    assert_eq!(shop.post("/products/1", &form).status, 200);
    let Some(mut page) = Browser::open(shop.address()) else {
        return;
    };
    assert_eq!(page.text("name"), name);
    assert_eq!(
        page.value("document.querySelectorAll('main img').length"),
        0
    );
    // A product that is bought together with the first, from the database's own data.
    assert!(page.text("together").contains("Salt <b>& pepper</b>"));
    assert_eq!(page.value("document.querySelectorAll('dd b').length"), 0);
    assert_eq!(page.value("document.title"), "A shop with a cache");
}

/// With `LARDER_BLESS=1` this also takes the book's picture of the page.
#[test]
fn visitors_fill_the_plot_and_a_comparison_names_both_medians() {
    let shop = RunningShop::start(&[]);
    let Some(mut page) = Browser::open(shop.address()) else {
        return;
    };
    page.click("#compare");
    page.until("document.getElementById('comparison').innerText !== ''");
    let comparison = page.text("comparison");
    let medians =
        r"^40 reads of 10 products each: median [\d.]+ ms without the cache, [\d.]+ ms with it$";
    let medians = regex::Regex::new(medians).expect("a pattern");
    assert!(medians.is_match(&comparison), "{comparison}");
    page.shows("switch", "Cache is on");
    page.shows("count-cache", "31");
    page.shows("count-read-through", "10");
    page.shows("count-database", "40");
    page.until("document.querySelectorAll('#plot circle').length === 81");

    page.click("#visit");
    let is_for_the_book = std::env::var_os("LARDER_BLESS").is_some();
    let reads = if is_for_the_book { 400 } else { 200 };
    page.until(&format!(
        "document.querySelectorAll('#plot circle').length >= {reads}"
    ));
    page.click("#visit");
    page.until("document.getElementById('visit').getAttribute('aria-pressed') === 'false'");
    assert_eq!(
        page.value("document.getElementById('problem').hidden"),
        true
    );

    // Nothing on a narrow page is wider than it.
    page.resize(500, 800);
    page.until("document.documentElement.scrollWidth <= 500");
    if is_for_the_book {
        let (width, height) = WINDOW;
        page.resize(width, height);
        // The plot is drawn for the new width with the next figures.
        let half = width / 2;
        page.until(&format!(
            "document.getElementById('plot').viewBox.baseVal.width > {half}"
        ));
        let file = "chapters/pictures/19_page.png";
        page.save_picture(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    }
}
