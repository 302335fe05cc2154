"use strict";
// Filters, search and order of the lists of sentences. Without this script, everything is listed.
for (const form of document.querySelectorAll("form[data-list]")) {
  const list = document.getElementById(form.dataset.list);
  const status = form.querySelector("[role=status]");
  const items = Array.from(list.children, (element, place) => ({
    element,
    place,
    labels: element.dataset.labels.split(" ").map((label) => label.split(":")),
    sure: Number(element.dataset.sure ?? NaN),
  }));
  const orders = {
    place: (a, b) => a.place - b.place,
    surest: (a, b) => b.sure - a.sure || a.place - b.place,
    least: (a, b) => a.sure - b.sure || a.place - b.place,
  };

  const folded = (text) => text.normalize("NFC").toLowerCase();

  // The text of a sentence without the labels of its spans.
  const textOf = (item) => {
    if (item.text === undefined) {
      const line = item.element.querySelector(".line").cloneNode(true);
      for (const label of line.querySelectorAll("b")) {
        label.previousSibling.remove(); // a blank
        label.remove();
      }
      item.text = folded(line.textContent);
    }
    return item.text;
  };

  const sorted = (order) => {
    if (order === "place") return [...items].sort(orders.place);
    const unknown = items.filter((item) => Number.isNaN(item.sure));
    return [...items.filter((item) => !Number.isNaN(item.sure)).sort(orders[order]), ...unknown];
  };

  let lastOrder = "place";
  const apply = () => {
    const { kind, type, search, order } = form.elements;
    const words = folded(search.value.trim());
    let shown = 0;
    for (const item of items) {
      const fits = item.labels.some(([k, t]) => (!kind.value || k === kind.value) && (!type.value || t === type.value));
      item.element.hidden = !(fits && (!words || textOf(item).includes(words)));
      shown += !item.element.hidden;
    }
    if (order && order.value !== lastOrder) {
      list.append(...sorted(order.value).map((item) => item.element));
      lastOrder = order.value;
    }
    status.textContent = `${shown} of ${items.length} sentences shown`;
  };

  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
