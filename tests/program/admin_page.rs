//! The page of `--admin` as a person sees it, in a browser.

use std::path::Path;

use super::admin::ADMIN;
use super::run::{FREE, Larder, Place, until};
use crate::browser_support::Browser;

/// The width and the height of the picture in the book.
const PICTURE: (u32, u32) = (1000, 880);

/// The page of a program, if there is a browser.
fn open(larder: &Larder) -> Option<Browser> {
    Browser::open(larder.address("admin"))
}

/// The title of each plot that is shown.
fn titles(page: &mut Browser) -> Vec<String> {
    let titles = "[...document.querySelectorAll('.card')].filter((card) => !card.hidden).map((card) => \
                  card.querySelector('h2').innerText)";
    let titles = page.value(titles);
    let titles = titles.as_array().expect("a list").iter();
    titles
        .map(|title| title.as_str().expect("a text").to_owned())
        .collect()
}

/// The legend of the plot with this title: names, each with its value.
fn legend(page: &mut Browser, title: &str) -> String {
    let text = page.value(&format!(
        "[...document.querySelectorAll('.card')].find((card) => card.querySelector('h2').innerText === '{title}')\
         .querySelector('.legend').innerText"
    ));
    let text = text.as_str().expect("a text");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Waits until a plot's legend holds a condition, while `load` goes on.
#[track_caller]
fn until_legend(
    page: &mut Browser,
    title: &str,
    mut load: impl FnMut(),
    holds: impl Fn(&str) -> bool,
) {
    until(title, || {
        load();
        holds(&legend(page, title))
    });
}

/// Whether a series has a value above zero in a legend.
fn is_above_zero(legend: &str, name: &str) -> bool {
    let rest = legend.split_once(&format!("{name} "));
    let digit =
        rest.and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit() && c != '.').next());
    digit.is_some_and(|number| number.parse().is_ok_and(|number: f64| number > 0.0))
}

/// With `LARDER_BLESS=1` this also takes the book's picture of the page.
#[test]
fn the_page_plots_what_clients_do_and_runs_nothing_else() {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], &ADMIN].concat(), 3);
    let (mut memcached, mut resp) = (larder.memcached(), larder.resp());
    let mut number = 0;
    let mut load = || {
        for _ in 0..20 {
            number += 1;
            memcached.ask(format!("set {number} 0 0 1\r\nv\r\n"), "STORED\r\n");
            memcached.ask(
                format!("get {number}\r\n"),
                &format!("VALUE {number} 0 1\r\nv\r\nEND\r\n"),
            );
            resp.ask(format!("EXISTS x{number}\r\n"), ":0\r\n");
        }
    };
    let Some(mut page) = open(&larder) else {
        return;
    };
    assert_eq!(
        page.value("document.querySelector('h1').innerText"),
        "larder serve"
    );
    assert_eq!(page.text("health"), "✓ healthy");
    assert!(
        page.text("facts").starts_with("version "),
        "{}",
        page.text("facts")
    );
    assert_eq!(
        titles(&mut page),
        [
            "Requests by protocol",
            "Requests by command",
            "Hit ratio",
            "Latency in the server",
            "Memory of items",
            "Items removed",
            "Connections",
            "Network",
            "Processor, in cores"
        ]
    );
    let both = |legend: &str| is_above_zero(legend, "text") && is_above_zero(legend, "resp");
    until_legend(&mut page, "Requests by protocol", &mut load, both);
    let hits = |legend: &str| is_above_zero(legend, "hits") && legend.ends_with('%');
    until_legend(&mut page, "Hit ratio", &mut load, hits);
    let latency = |legend: &str| is_above_zero(legend, "p50") && is_above_zero(legend, "p99.9");
    until_legend(&mut page, "Latency in the server", &mut load, latency);
    // The busiest commands, with their rates, shares and latencies.
    let cells = |row: usize| {
        format!(
            "[...document.querySelectorAll('#commands tbody tr')[{row}].cells].map((cell) => cell.innerText)"
        )
    };
    page.until("document.querySelectorAll('#commands tbody tr').length === 3");
    page.until("[...document.querySelectorAll('#commands thead th')].map((cell) => cell.innerText).join() === 'command,protocol,requests,share,p50,p99'");
    let mut named: Vec<String> = Vec::new();
    for row in 0..3 {
        let shown = page.value(&cells(row));
        let text = |cell: usize| shown[cell].as_str().expect("a text").to_owned();
        named.push(format!("{} {}", text(1), text(0)));
        assert!(
            is_above_zero(&format!("rate {}", text(2)), "rate"),
            "{shown}"
        );
        assert!(
            is_above_zero(&format!("share {}", text(3)), "share"),
            "{shown}"
        );
        assert!(text(5).ends_with('s') || text(5) == "–", "{shown}");
    }
    named.sort();
    assert_eq!(named, ["resp exists", "text get", "text set"]);
    page.until("[...document.querySelectorAll('#commands tbody tr')].find((row) => row.cells[0].innerText === 'exists').cells[4].innerText.endsWith('s')");
    assert!(legend(&mut page, "Memory of items").ends_with("limit 64 MiB"));
    assert!(legend(&mut page, "Connections").contains("quiet 2"));
    page.until("document.querySelectorAll('.card > svg path.line-1').length === 9");

    // Each line has a pattern beside its colour, and a plot has its figures as text.
    let label = "document.querySelector('.card svg').getAttribute('aria-label')";
    page.until(&format!(
        "/^Requests by protocol: text [\\d.]+/.test({label})"
    ));
    let pattern =
        "getComputedStyle(document.querySelector('.card > svg path.line-2')).strokeDasharray";
    assert_ne!(page.value(pattern), "none");

    // The pointer shows the figures of its time.
    page.point_to(".card svg");
    page.until("document.querySelectorAll('.cursor').length === 9");
    let distance = "(() => { const svg = document.querySelector('.card svg'); \
                    return Math.abs(svg.querySelector('.cursor').x1.baseVal.value - svg.clientWidth / 2); })()";
    assert!(page.value(distance).as_f64() < Some(2.0));

    page.value("document.querySelector('input[value=\"60\"]').click()");
    page.until("document.querySelector('.card svg').textContent.includes('60 s ago')");

    let colour = "getComputedStyle(document.body).backgroundColor";
    page.theme("light");
    let light = page.value(colour);
    page.theme("dark");
    assert_ne!(page.value(colour), light);

    let run = "(() => { const script = document.createElement('script'); script.textContent = 'document.title = \"run\"'; \
               document.body.append(script); return document.title; })()";
    assert_ne!(page.value(run), "run");

    // Nothing on a narrow page is wider than it.
    page.resize(380, 800);
    page.until("document.documentElement.scrollWidth <= 380");

    if std::env::var_os("LARDER_BLESS").is_some() {
        take_picture(&mut page, &larder);
    }
    drop(larder);
    page.until("document.getElementById('health').innerText.startsWith('✗ no answer')");
    // To draw again, as after each move of the pointer, changes nothing about that.
    let drawn = "(dispatchEvent(new Event('resize')), document.getElementById('health').innerText)";
    let health = page.value(drawn);
    assert!(
        health
            .as_str()
            .is_some_and(|text| text.starts_with("✗ no answer")),
        "{health}"
    );
}

/// A command was missing among the busiest until it had been called more often than before the restart.
#[test]
fn the_page_goes_on_behind_a_restart() {
    let place = Place::new();
    let admin = format!("127.0.0.1:{}", crate::support::reserved_port());
    let start = || place.serve(&[&FREE[..], &["--admin", &admin]].concat(), 3);
    let larder = start();
    let mut client = larder.memcached();
    let mut load = || {
        client.say("get a\r\n".repeat(1000));
        client.hear(&"END\r\n".repeat(1000));
    };
    // So that the first moment of the page has more calls than there are behind the restart.
    load();
    let Some(mut page) = open(&larder) else {
        return;
    };
    let is_busy = |legend: &str| is_above_zero(legend, "get");
    until_legend(&mut page, "Requests by command", load, is_busy);
    drop(larder);
    page.until("document.getElementById('health').innerText.startsWith('✗ no answer')");
    let larder = start();
    page.until("document.getElementById('health').innerText === '✓ healthy'");
    let mut client = larder.memcached();
    client.ask("get a\r\n", "END\r\n");
    page.until("document.querySelector('#commands tbody').innerText.startsWith('get\\ttext\\t')");
    figures_of_texts(&mut page);
}

/// The functions that make figures of the text of `/metrics`.
fn figures_of_texts(page: &mut Browser) {
    for (expression, value) in [
        ("quantileOf([], 0.5)", "null"),
        ("quantileOf([[Infinity, 7]], 0.5)", "null"),
        ("quantileOf([[0.1, 0], [Infinity, 0]], 0.5)", "null"),
        ("quantileOf([[0.1, -5], [Infinity, 3]], 0.5)", "null"),
        ("quantileOf([[0.1, 0], [Infinity, 7]], 0.5)", "0.1"),
        (
            "quantileOf([[0.1, 8], [0.5, 8], [Infinity, 8]], 0.5)",
            "0.05",
        ),
        (
            "quantileOf([[1, 50], [2, 90], [Infinity, 100]], 0.7)",
            "1.5",
        ),
        ("part(() => null, () => 5)()", "null"),
        ("rate('x')(moment(1000, 'x 5'), moment(3000, 'x 9'))", "2"),
        (
            "rate('x')(moment(1000, 'x 5'), moment(3000, 'x 3'))",
            "null",
        ),
        (
            "rate('x')(moment(1000, 'y 5'), moment(3000, 'x 3'))",
            "null",
        ),
        (
            "((one) => rate('x')(one, one))(moment(1000, 'x 5'))",
            "null",
        ),
        (
            "sum(parse('# x 7\\nx{a=\"b\"} 1\\nx{a=\"c\"} 2\\nxy 4'), 'x')",
            "3",
        ),
        (
            r#"samplesOf(parse('x{a="q\\"\\\\\\n}",b="{"} 2'), 'x', {b: '{'})[0].labels.a"#,
            r#""q\"\\\n}""#,
        ),
    ] {
        let moment = "(at, text) => momentOf(undefined, at, parse(text))";
        let shown = page.value(&format!("((moment) => {expression})({moment})"));
        assert_eq!(shown.to_string(), value, "{expression}");
    }
}

/// The picture of the page in the book, after a minute of mixed load.
fn take_picture(page: &mut Browser, larder: &Larder) {
    let (mut memcached, mut resp) = (larder.memcached(), larder.resp());
    let began = std::time::Instant::now();
    while began.elapsed().as_secs() < 75 {
        let key = (fastrand::f64().powi(2) * 20_000.0) as u64;
        if fastrand::u8(0..5) == 0 {
            let (exptime, length) = (fastrand::u8(0..3), fastrand::usize(50..800));
            let value = "x".repeat(length);
            let set = format!("set {key} 0 {exptime} {length}\r\n{value}\r\n");
            memcached.ask(set, "STORED\r\n");
        }
        memcached.say(format!("get {key}\r\n"));
        memcached.until_end("END\r\n");
        memcached.say(format!("mg {key} t\r\n"));
        memcached.until_end("\r\n");
        if fastrand::bool() {
            resp.say(format!("GETRANGE {key} 0 -1\r\n"));
            // The length, and the value.
            (0..2).for_each(|_| drop(resp.until_end("\r\n")));
        }
        let wave = (began.elapsed().as_secs_f64() / 8.0).sin().powi(2);
        std::thread::sleep(std::time::Duration::from_micros(
            500 + (2000.0 * wave) as u64,
        ));
    }
    page.theme("light");
    page.resize(PICTURE.0, PICTURE.1);
    page.until("document.querySelector('.card svg').viewBox.baseVal.width > 300");
    let file = "chapters/pictures/admin_page.png";
    page.save_picture(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
}

#[test]
fn the_page_of_a_proxy_has_a_line_and_a_row_for_each_server() {
    let place = Place::new();
    let [first, second] = [(); 2].map(|()| larder::Server::start().expect("it starts"));
    let names = [&first, &second].map(|server| server.memcached_addr().to_string());
    let mut arguments = vec!["proxy", "--protocol", "memcached", "--listen"];
    arguments.extend(["127.0.0.1:0", "--failures", "1", "--upstream"]);
    arguments.extend(names.iter().map(String::as_str));
    let proxy = place.serve(&[&arguments[..], &ADMIN].concat(), 2);
    let mut client = proxy.memcached();
    let load = || {
        for key in 0..50 {
            client.ask(format!("set {key} 0 0 1\r\nv\r\n"), "STORED\r\n");
        }
    };
    let Some(mut page) = open(&proxy) else {
        return;
    };
    assert_eq!(
        page.value("document.querySelector('h1').innerText"),
        "larder proxy"
    );
    let both = |legend: &str| names.iter().all(|name| is_above_zero(legend, name));
    until_legend(&mut page, "Requests by server", load, both);
    page.until("document.querySelector('#commands tbody').innerText.startsWith('set\\ttext\\t')");
    page.until("document.querySelectorAll('#commands thead th').length === 4");
    let row = |number: usize| {
        format!("document.querySelectorAll('#servers tbody tr')[{number}].innerText")
    };
    for (number, name) in names.iter().enumerate() {
        page.until(&format!("{}.startsWith('{name}\\tup\\t')", row(number)));
    }
    drop(second);
    let gets: String = (0..50).map(|key| format!("get {key}\r\n")).collect();
    until("the second is shown as down", || {
        let mut client = proxy.memcached();
        client.say(format!("{gets}quit\r\n"));
        client.rest();
        page.value(&format!("{}.startsWith('{}\\tdown\\t')", row(1), names[1])) == true
    });
    page.until("document.querySelectorAll('#servers td.bad').length === 1");
    assert_eq!(page.text("health"), "✓ healthy");
}

#[test]
fn the_page_of_an_invalidation_server_shows_what_waits() {
    let place = Place::new();
    let absent = format!("127.0.0.1:{}", crate::support::reserved_port());
    place.write("servers.txt", &format!("{absent} 1\n"));
    let arguments = [
        "invalidate",
        "--listen",
        "127.0.0.1:0",
        "--servers",
        "servers.txt",
    ];
    let larder = place.serve(&[&arguments[..], &ADMIN].concat(), 2);
    let mut client = larder.memcached();
    let Some(mut page) = open(&larder) else {
        return;
    };
    assert_eq!(
        page.value("document.querySelector('h1').innerText"),
        "larder invalidate"
    );
    let mut number = 0;
    let load = || {
        number += 1;
        client.ask(format!("delete {number}\r\n"), "DELETED\r\n");
    };
    until_legend(&mut page, "Changes", load, |legend| {
        is_above_zero(legend, "accepted")
    });
    until_legend(
        &mut page,
        "Waiting deletes by server",
        || {},
        |legend| is_above_zero(legend, &absent),
    );
    page.until(&format!(
        "document.querySelector('#servers tbody').innerText.startsWith('pool: {absent}\\tdown\\t')"
    ));
}
