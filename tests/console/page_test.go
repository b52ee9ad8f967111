package console

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/atrium-iot/atrium/cloud/demo"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// raise starts a demonstration.
func raise(t *testing.T) *demo.Demo {
	t.Helper()
	browser(t) // before the work
	bin, err := line.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	d, err := demo.Start(t.Context(), demo.Config{Bin: bin, Dir: dir, State: filepath.Join(dir, "state.json")}, func(s string) { t.Log(s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestThePageShowsRoomsDevicesAndTheLastHourAsTheyChange(t *testing.T) {
	d := raise(t)
	p := open(t, d.API())
	p.until("the stream is live", `document.querySelector('#link').dataset.state === 'live'`)
	p.until("five rooms", `document.querySelectorAll('.room').length === 5`)
	p.until("each room has a value", `[...document.querySelectorAll('.room .big')].every((n) => /\d/.test(n.textContent))`)
	p.until("twenty devices live", `document.querySelectorAll('tr[data-liveness=live]').length === 20`)
	p.until("values are young", `/^newest value [01]\.\d s old$/.test(document.querySelector('#age').textContent)`)

	// A counter counts under the eyes of who looks.
	const count = `[...document.querySelectorAll('tr')].find((r) => r.dataset.key === 'hq/count').querySelector('.value').textContent`
	before := p.eval(count)
	p.until("the counter's value changes", count+` !== `+quote(before))

	p.do(chromedp.Click(chromedp.CSS(`tr[data-key="hq/lobby-temp"] .value`)))
	p.until("a chart is drawn", `document.querySelector('#chart canvas') !== null`)
	p.until("its line is visible", visible)
	p.until("with readings", `/^\d+ readings/.test(document.querySelector('#detail-note').textContent)`)
	first := p.eval(`document.querySelector('#detail-note').textContent`)
	p.until("and more as they come", `document.querySelector('#detail-note').textContent !== `+quote(first))
	if folder := os.Getenv("ATRIUM_SCREENSHOTS"); folder != "" {
		shot, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, "page.png"), shot, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
	p.do(chromedp.Click(chromedp.CSS(`#detail-close`)))
	p.until("the chart is closed", `document.querySelector('#detail').hidden`)
	p.clean()
}

func TestThePageSaysThatTheNodeIsGoneAndComesBack(t *testing.T) {
	d := raise(t)
	p := open(t, d.API())
	p.until("twenty devices live", `document.querySelectorAll('tr[data-liveness=live]').length === 20`)
	p.clean()
	if err := d.KillCloud(); err != nil {
		t.Fatal(err)
	}
	p.until("the page says so", `document.querySelector('#link').dataset.state === 'broken'`)
	p.until("the last known values stay", `document.querySelectorAll('.room').length === 5`)
	p.until("it is live again", `document.querySelector('#link').dataset.state === 'live'`)
	p.until("and values are young again", `/^newest value [01]\.\d s old$/.test(document.querySelector('#age').textContent)`)
}

// visible looks for pixels of the line's blue on the chart.
const visible = `(() => {
  const c = document.querySelector('#chart canvas');
  const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 200 && d[i + 2] > d[i] + 60) return true;
  return false;
})()`

func quote(s string) string { return "`" + s + "`" }
