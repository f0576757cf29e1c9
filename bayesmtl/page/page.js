"use strict";
// Tables are sorted by the column whose head is pressed: numbers as numbers, and what has none last.
const raised = "⁰¹²³⁴⁵⁶⁷⁸⁹";
function value(cell) {
  const shown = cell.cloneNode(true);
  shown.querySelectorAll(".interval").forEach((part) => part.remove());
  const text = shown.textContent.trim().replace(/\u2212/g, "-").replace(/,(?=\d{3})/g, "");
  const found = text.match(/^[<>]?(-?[\d.]+)(?:×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))?/);
  if (!found) return [text === "\u2013" ? NaN : null, text];
  const power = (found[2] || "").replace("⁻", "-").replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹]/g, (digit) => raised.indexOf(digit));
  return [Number(found[1]) * 10 ** Number(power), text];
}
function order(a, b, down) {
  if (Number.isNaN(a[0]) || Number.isNaN(b[0])) return Number.isNaN(a[0]) - Number.isNaN(b[0]);
  const words = a[0] === null || b[0] === null;
  return (down ? -1 : 1) * (words ? a[1].localeCompare(b[1], undefined, { numeric: true }) : a[0] - b[0]);
}
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (body.rows.length < 3) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
      rows.sort((a, b) => order(a[0], b[0], down));
      body.append(...rows.map((pair) => pair[1]));
    });
  });
}
