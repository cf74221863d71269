// Only looks: everything on a page can be read without it.
document.addEventListener("DOMContentLoaded", () => {
  // A conversation: hides the header, which is for the tests, and gives each side its colour.
  for (const code of document.querySelectorAll("code.language-transcript")) {
    let header = /^protocol:/m.test(code.textContent);
    const lines = code.textContent.replace(/\n$/, "").split("\n").map((line) => {
      const span = document.createElement("span");
      span.textContent = line + "\n";
      if (header && line === "") {
        header = false;
        span.className = "talk-header";
      } else if (header && /^(#|[a-z]+:)/.test(line) && !/^[a-z0-9]*[<>]/.test(line)) {
        span.className = "talk-header";
      } else {
        header = false;
        const side = /^[a-z0-9]*([<>])/.exec(line);
        if (side) span.className = side[1] === ">" ? "talk-sent" : "talk-received";
      }
      return span;
    });
    code.replaceChildren(...lines);
  }
});
