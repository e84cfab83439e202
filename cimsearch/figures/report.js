"use strict";
// Draws the figures in the colours of the page, those of a closed network when it is opened, and
// marks what is wider than the page.
(() => {
  const data = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const mode = () => (dark.matches ? "dark" : "light");
  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  function draw(slot) {
    const name = slot.dataset.figure;
    const figure = data.figures[name];
    const template = data.templates[mode()];
    const options = { ...config, toImageButtonOptions: { format: "svg", filename: name } };
    Plotly.react(slot, figure.data, { ...figure.layout, template }, options);
    if (!slot.classList.contains("drawn")) {
      slot.classList.add("drawn");
      slot.on("plotly_click", (event) => openNetwork(event.points[0].customdata));
    }
  }

  function openNetwork(number) {
    if (Number.isInteger(number) && document.getElementById(`layers-${number}`)) {
      window.location.hash = `layers-${number}`;
    }
  }

  function followHash() {
    const target = document.getElementById(window.location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
    }
  }

  function watchSideways(scroller) {
    const { classList } = scroller.parentElement;
    const mark = () => {
      const beyond = scroller.scrollWidth - scroller.clientWidth;
      classList.toggle("wide", beyond > 1);
      classList.toggle("more-start", scroller.scrollLeft > 1);
      classList.toggle("more-end", scroller.scrollLeft < beyond - 1);
    };
    const observer = new ResizeObserver(mark);
    [scroller, ...scroller.children].forEach((each) => observer.observe(each));
    scroller.addEventListener("scroll", mark, { passive: true });
  }

  const isVisible = (slot) => !slot.closest("details:not([open])");
  const slots = [...document.querySelectorAll("[data-figure]")];
  for (const details of document.querySelectorAll("details.network")) {
    details.addEventListener("toggle", () => {
      if (details.open) details.querySelectorAll("[data-figure]:not(.drawn)").forEach(draw);
    });
  }
  const drawAll = (wanted) => {
    slots.filter(wanted).forEach(draw);
    document.documentElement.dataset.drawn = mode();
  };
  drawAll(isVisible);
  document.querySelectorAll(".scroll").forEach(watchSideways);
  dark.addEventListener("change", () => drawAll((slot) => slot.classList.contains("drawn")));
  window.addEventListener("hashchange", followHash);
  followHash();
})();
