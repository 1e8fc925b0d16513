// Which cameras are to be ticked matters only for accounts that do not see all of them.
const form = document.querySelector("[data-user-form]");

function show() {
  const administrator = form.querySelector('[name="role"]:checked')?.value === "administrator";
  form.querySelector("[data-for-cameras]").hidden = administrator;
  form.querySelector("[data-cameras]").hidden = form.querySelector('[name="all_cameras"]').checked;
}

if (form) {
  form.addEventListener("change", show);
  show();
}
