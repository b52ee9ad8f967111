package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/ops"
)

func newApply(api *string) *cobra.Command {
	var a applying
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Apply documents: sites, gateways, rooms, pipelines and profiles",
		Long: `apply puts YAML documents into the catalog. All are judged before the first is
sent: if one is not right, nothing is applied. Sites come first, so that one
file may hold a site and its rooms. A document that is there word for word is
left alone. With --revision, a document that somebody else has changed since
that revision is refused. The exit status is 0 if all are as given.`,
		Example: "  atrium apply -f site.yaml\n  atrium apply -f documents/ --dry-run\n  atrium get room hq/kitchen -o yaml | sed 's/t1/t2/' | atrium apply -f - --revision 7",
		Args:    cobra.NoArgs,
	}
	files := sourceFlag(cmd)
	f := cmd.Flags()
	f.BoolVar(&a.dryRun, "dry-run", false, "only say what would happen")
	f.Uint64Var(&a.revision, "revision", 0, "the revision that the one document replaces (default: whatever is there)")
	f.BoolVar(&a.asJSON, "json", false, "print a JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := client.New(*api)
		if err != nil {
			return err
		}
		all, err := readSources(cmd, *files)
		if err != nil {
			return reported(cmd, err, "nothing was applied")
		}
		if a.revision != 0 && len(all) != 1 {
			return ops.Usage(fmt.Errorf("--revision is for one document, here are %d", len(all)))
		}
		a.client, a.out, a.all = c, cmd.OutOrStdout(), all
		return a.run(cmd)
	}
	return cmd
}

// applying is one run of atrium apply.
type applying struct {
	client   *client.Client
	out      io.Writer
	all      []sourced
	dryRun   bool
	revision uint64
	asJSON   bool
}

// run applies one document after the other. One that is refused does not keep
// the others; a node that does not answer, or cannot say what became of one,
// does.
func (a *applying) run(cmd *cobra.Command) error {
	var refused []string
	for i, s := range a.all {
		applied, err := a.client.Put(cmd.Context(), s.Text, client.PutOptions{File: s.file, Expect: client.Expect{Revision: a.revision}, DryRun: a.dryRun})
		var answer *client.Error
		switch {
		case err == nil:
			err = a.print(s, applied)
		case !errors.As(err, &answer) || answer.Status == http.StatusServiceUnavailable:
			return fmt.Errorf("%w; applied: %s; not applied, or not known: %s", err, counted(i-len(refused)), withRest(refused, a.all[i:]))
		case a.dryRun && answer.Status == http.StatusConflict && a.hasSiteOf(s):
			err = a.print(s, client.Applied{Outcome: "created"}) // once its site is
		default:
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", s.place(), answer.Detail)
			refused = append(refused, s.String())
			err = nil
		}
		if err != nil {
			return err
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("applied: %s; not applied: %s", counted(len(a.all)-len(refused)), strings.Join(refused, ", "))
	}
	return nil
}

// hasSiteOf reports whether the site of a document is applied with it.
func (a *applying) hasSiteOf(s sourced) bool {
	site, of := document.SiteOf(s.Kind, s.Name)
	return of && slices.ContainsFunc(a.all, func(o sourced) bool { return o.Kind == document.Site && o.Name == string(site) })
}

func (a *applying) print(s sourced, applied client.Applied) error {
	if a.asJSON {
		return json.NewEncoder(a.out).Encode(map[string]any{
			"kind": s.Kind, "name": s.Name, "outcome": applied.Outcome, "revision": applied.Document.Revision, "dry_run": a.dryRun,
		})
	}
	text := applied.Outcome
	switch {
	case text == "unchanged":
	case a.dryRun:
		text = "would be " + text
	default:
		text = fmt.Sprintf("%s revision %d", text, applied.Document.Revision)
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", s, text)
	return err
}

func counted(n int) string {
	if n == 1 {
		return "1 document"
	}
	return fmt.Sprintf("%d documents", n)
}

// withRest names the documents that were refused, and those after them.
func withRest(refused []string, rest []sourced) string {
	for _, s := range rest {
		refused = append(refused, s.String())
	}
	return strings.Join(refused, ", ")
}
