"use strict";
const config = {
  responsive: true,
  displaylogo: false,
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};
const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
for (const plot of document.querySelectorAll(".plot")) {
  const { data, layout } = JSON.parse(plot.querySelector("script").textContent);
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0, 0, 0, 0)";
  if (dark) {
    layout.font.color = "#e4e7eb";
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
      Object.assign(layout[name], { gridcolor: "#39424d", zerolinecolor: "#39424d" });
    }
  }
  Plotly.newPlot(plot.querySelector("div"), data, layout, config);
}
