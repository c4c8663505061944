// Lists what a screen reader would stumble over on this page.
() => {
  const problems = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const start = (element) => element.outerHTML.slice(0, 90);
  const blame = (elements, words) => elements.forEach((element) => problems.push(`${words}: ${start(element)}`));
  const named = (e) => (e.getAttribute("aria-label") || e.textContent || e.title).trim();

  blame(all("a, button, summary").filter((e) => !named(e)), "no name");
  blame(all("input:not([type=hidden]), select").filter((e) => !e.labels || !e.labels.length), "no label");
  blame(all("table").filter((e) => !e.caption || !e.caption.textContent.trim()), "no caption");
  blame(all("[data-plot]").filter((e) => e.getAttribute("role") !== "img" || !e.getAttribute("aria-label")), "no text");
  for (const name of ["aria-labelledby", "aria-describedby"]) {
    const leads = (e) => e.getAttribute(name).split(" ").every((id) => document.getElementById(id));
    blame(all(`[${name}]`).filter((e) => !leads(e)), `${name} leads nowhere`);
  }
  const ids = all("[id]").map((e) => e.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => problems.push(`twice: ${id}`));
  if (all("main").length !== 1 || all("h1").length !== 1) problems.push("not one main and one h1");
  return problems;
}
