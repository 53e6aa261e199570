// Light or dark: what the system says until the reader chooses.

const CHOICE = "counterfoil-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

const show = () => {
  const chosen = localStorage.getItem(CHOICE);
  document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light");
};

export const followTheme = (button) => {
  show();
  dark.addEventListener("change", show);
  button.addEventListener("click", () => {
    localStorage.setItem(CHOICE, document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    show();
  });
};
