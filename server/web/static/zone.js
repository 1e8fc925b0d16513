// Offers the browser's own time zone beside a select of zones, where it is another than the one chosen.
for (const offer of document.querySelectorAll("[data-browser-zone]")) {
  const select = document.getElementById(offer.dataset.browserZone);
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = own && select && [...select.options].some((option) => option.value === own);
  const show = () => {
    offer.hidden = !known || select.value === own;
  };
  if (known) {
    offer.querySelector("[data-name]").textContent = own;
    offer.querySelector("button").addEventListener("click", () => {
      select.value = own;
      show();
      select.focus();
    });
    select.addEventListener("change", show);
  }
  show();
}
