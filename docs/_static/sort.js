/* Tables with the class "sortable": a press on a heading sorts by it, a second one turns it round. */
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const { value } = row.cells[column].dataset;
    return value === "" ? Infinity : isNaN(value) ? value : Number(value);
  };
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const down = heading.ariaSort === "ascending";
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        return (x > y ? 1 : x < y ? -1 : 0) * (down ? -1 : 1);
      });
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.ariaSort = down ? "descending" : "ascending";
      table.tBodies[0].append(...rows);
    });
  });
}
