document.body.textContent = "a page";
