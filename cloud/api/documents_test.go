package api_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

func openCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
	c, err := catalog.Open(t.Context(), catalog.Config{ClusterID: "c", Shards: 2, Zone: "z"}, kv, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const (
	siteText = "kind: site\nname: hq\ntitle: Headquarters\n"
	roomText = "kind: room\nname: hq/floor-1/kitchen\ndevices: [t1]\n"
)

func pipelineOf(from, points string) string {
	return "kind: pipeline\nname: hq/p\n" + from + "\npoints: [" + points + "]\nstages:\n- window: {every: 10s, of: state}\n"
}

func put(t *testing.T, c *client.Client, text string, o client.PutOptions) client.Applied {
	t.Helper()
	applied, err := c.Put(t.Context(), []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

func TestADocumentIsAppliedReadListedAndDeleted(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{})
	put(t, c, siteText, client.PutOptions{})
	dry := put(t, c, roomText, client.PutOptions{DryRun: true})
	if _, err := c.Document(t.Context(), "room", "hq/floor-1/kitchen"); dry.Outcome != "created" || !client.NotFound(err) {
		t.Fatalf("a dry run: %+v, and then %v", dry, err)
	}
	first := put(t, c, roomText, client.PutOptions{Expect: client.Expect{Absent: true}})
	again := put(t, c, roomText, client.PutOptions{})
	next := put(t, c, roomText+"title: K\n", client.PutOptions{Expect: client.Expect{Revision: first.Document.Revision}})
	if first.Outcome != "created" || again.Outcome != "unchanged" || again.Document != first.Document || next.Outcome != "configured" || next.Document.Revision <= first.Document.Revision {
		t.Fatalf("%+v\n%+v\n%+v", first, again, next)
	}
	got, err := c.Document(t.Context(), "room", "hq/floor-1/kitchen")
	if err != nil || got != next.Document || got.Text != roomText+"title: K\n" {
		t.Fatalf("%+v, %v", got, err)
	}
	all, err := c.Documents(t.Context(), "", "hq")
	if err != nil || len(all) != 2 || all[0] != got || all[1].Name != "hq" {
		t.Fatalf("%+v, %v", all, err)
	}
	if rooms, err := c.Documents(t.Context(), "pipeline", ""); err != nil || len(rooms) != 0 {
		t.Fatal(rooms, err)
	}
	if err := c.Delete(t.Context(), "room", got.Name, client.Expect{Revision: first.Document.Revision}); !client.Conflict(err) {
		t.Fatalf("deleted at an old revision: %v", err)
	}
	if err := c.Delete(t.Context(), "room", got.Name, client.Expect{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), "room", got.Name, client.Expect{}); !client.NotFound(err) {
		t.Fatalf("deleted twice: %v", err)
	}
}

func TestAChangeThatIsRefusedSaysWhereAndWhatIsThere(t *testing.T) { // I6
	base := serve(t, fakeViews{}, fakeHistory{})
	c, err := client.New(base)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(t.Context(), []byte("kind: room\nname: hq/r\ndevices: [t1, t1]\n"), client.PutOptions{File: "rooms.yaml"}); err == nil || !strings.HasPrefix(err.Error(), "rooms.yaml:3:15: ") {
		t.Errorf("the client sends what is not right: %v", err)
	}
	put(t, c, siteText, client.PutOptions{})
	for _, bad := range []struct {
		name, method, path, body, header, value string
		status                                  int
		want                                    string
	}{
		{"not right", "PUT", "room/hq%2Fr?file=r.yaml", "kind: room\nname: hq/r\ndevices: 3\n", "", "", 422, `"detail":"r.yaml:3:10: key \"devices\": want a list, got 3","errors":[{"message":"want a list, got 3","location":"body:3:10"`},
		{"another name", "PUT", "room/hq%2Fq", "kind: room\nname: hq/r\n", "", "", 400, "document:1:1: the document is room hq/r: it is put as room hq/q"},
		{"no name", "PUT", "room/hq", "kind: room\nname: hq/r\n", "", "", 400, "path.name"},
		{"unknown kind", "PUT", "rooms/hq%2Fr", "kind: room\n", "", "", 422, "path.kind"},
		{"unknown site", "PUT", "room/lab%2Fr", "kind: room\nname: lab/r\n", "", "", 409, "unknown site lab: apply its document first"},
		{"too long", "PUT", "room/hq%2Fr", "kind: room\n#" + strings.Repeat("\nx", 40000), "", "", 413, "65537"},
		{"not there", "GET", "room/hq%2Fr", "", "", "", 404, "GET /v1/documents?kind=room lists"},
		{"there", "PUT", "site/hq", siteText + "zone: z\n", "If-None-Match", "*", 412, "site hq exists, at revision"},
		{"other revision", "PUT", "site/hq", siteText + "zone: z\n", "If-Match", `"1"`, 412, "is at revision"},
		{"no revision", "PUT", "site/hq", siteText, "If-Match", "seven", 400, "header.If-Match"},
		{"a list of revisions", "PUT", "site/hq", siteText, "If-Match", `"7", "8"`, 400, "want * or one revision in quotes"},
		{"a weak tag", "PUT", "site/hq", siteText, "If-Match", `W/"7"`, 400, "header.If-Match"},
		{"half a tag", "PUT", "site/hq", siteText, "If-Match", `"7`, 400, "header.If-Match"},
		{"no revision to avoid", "PUT", "site/hq", siteText, "If-None-Match", `"7"`, 400, "header.If-None-Match"},
		{"nothing to replace", "PUT", "room/hq%2Fr", "kind: room\nname: hq/r\n", "If-Match", "*", 412, "there is no room hq/r to replace"},
		{"a text", "PUT", "pipeline/hq%2Fp?file=p.yaml", pipelineOf("from: {devices: [c1]}", "count, state"), "", "", 422, `p.yaml:4:17: key \"points[1]\": state of hq/c1 is a text, and pipelines read numbers`},
		{"a text of any device", "PUT", "pipeline/hq%2Fp?file=p.yaml", pipelineOf("title: all", "state"), "", "", 422, "p.yaml:4:10: key"},
		{"a text of a room's", "PUT", "pipeline/hq%2Fp?file=p.yaml", pipelineOf("from: {rooms: [floor-1/kitchen]}", "state"), "", "", 422, "p.yaml:4:10: key"},
		{"another zone", "PUT", "site/hq", siteText + "zone: y\n", "", "", 422, "document:4:7"},
	} {
		status, body := request(t, bad.method, base+"/v1/documents/"+bad.path, bad.body, bad.header, bad.value)
		if status != bad.status || !strings.Contains(body, bad.want) {
			t.Errorf("%s: %d %s\nwant %d %s", bad.name, status, body, bad.status, bad.want)
		}
	}
	if all, err := c.Documents(t.Context(), "", ""); err != nil || len(all) != 1 {
		t.Fatalf("what was refused left %+v, %v", all, err)
	}
}

func TestADocumentsRevisionIsItsEntityTag(t *testing.T) {
	base := serve(t, fakeViews{}, fakeHistory{})
	status, _ := request(t, "PUT", base+"/v1/documents/site/hq", siteText, "", "")
	resp, err := http.Get(base + "/v1/documents/site/hq")
	if err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	resp.Body.Close()
	req, err := http.NewRequestWithContext(t.Context(), "PUT", base+"/v1/documents/room/hq%2Fr?dry-run=true", strings.NewReader("kind: room\nname: hq/r\n"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/yaml")
	dry, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	dry.Body.Close()
	if tag, given := dry.Header["Etag"]; dry.StatusCode != http.StatusOK || given {
		t.Fatalf("a document that is not there: %s, tag %v", dry.Status, tag)
	}
	if status, body := request(t, "DELETE", base+"/v1/documents/site/hq", "", "If-Match", resp.Header.Get("ETag")); status != http.StatusNoContent {
		t.Fatalf("tag %s: %d %s", resp.Header.Get("ETag"), status, body)
	}
}

func TestAListOfDocumentsComesWholeOverManyPages(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{})
	const n = 1203 // a page has 1,000
	for i := range n {
		put(t, c, fmt.Sprintf("kind: site\nname: s-%d\n", i), client.PutOptions{})
	}
	all, err := c.Documents(t.Context(), "site", "")
	seen := map[string]bool{}
	for _, d := range all {
		seen[d.Name] = true
	}
	if err != nil || len(seen) != n || len(all) != n {
		t.Fatalf("%d documents, %d of them different, %v", len(all), len(seen), err)
	}
}

func request(t *testing.T, method, url, body, header, value string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/yaml")
	if header != "" {
		req.Header.Set(header, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
