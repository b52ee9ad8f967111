// Package console looks at the live page as a person does: a demonstration runs,
// and headless Chromium opens the page of its cloud node. What no demonstration does
// in time, a scripted stream tells the page. Without Chromium on the machine the
// tests are skipped, unless ATRIUM_BROWSER names one.
package console
