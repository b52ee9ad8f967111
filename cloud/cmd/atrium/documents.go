package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/ops"
)

// parseKind reads a kind in the singular or plural.
func parseKind(s string) (document.Kind, error) {
	k, err := document.ParseKind(strings.TrimSuffix(s, "s"))
	if err != nil {
		return "", ops.Usage(err)
	}
	return k, nil
}

func newGet(api *string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "get KIND [NAME]",
		Short:   "Show documents of the catalog",
		Example: "  atrium get rooms\n  atrium get room hq/kitchen -o yaml > kitchen.yaml\n  atrium get pipelines -o name",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			print, known := outputs()[output]
			if !known {
				return ops.Usage(fmt.Errorf("-o %s: want table, yaml, json or name", output))
			}
			all, err := fetchDocuments(cmd, *api, args)
			if err != nil {
				return err
			}
			return print(cmd.OutOrStdout(), all)
		},
	}
	cmd.ValidArgsFunction = completeDocument(api)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, yaml, json or name")
	return cmd
}

// fetchDocuments returns the documents of KIND, or the one of KIND NAME.
func fetchDocuments(cmd *cobra.Command, api string, args []string) ([]client.Document, error) {
	kind, err := parseKind(args[0])
	if err != nil {
		return nil, err
	}
	c, err := client.New(api)
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		return c.Documents(cmd.Context(), kind, "")
	}
	if err := document.CheckName(kind, args[1]); err != nil {
		return nil, ops.Usage(err)
	}
	d, err := c.Document(cmd.Context(), kind, args[1])
	return []client.Document{d}, err
}

// outputs are the ways to print documents.
func outputs() map[string]func(io.Writer, []client.Document) error {
	return map[string]func(io.Writer, []client.Document) error{
		"table": printTable, "yaml": printYAML, "json": printJSON, "name": printNames,
	}
}

func printTable(out io.Writer, all []client.Document) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tNAME\tREVISION\tAPPLIED\tTITLE")
	for _, d := range all {
		title := ""
		if in, err := document.Parse(d.Name, []byte(d.Text)); err == nil { // a newer program's may hold more
			title = in.Title
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", d.Kind, d.Name, d.Revision, d.AppliedAt.Local().Format(time.DateTime), title)
	}
	return w.Flush()
}

// printYAML prints what apply reads.
func printYAML(out io.Writer, all []client.Document) error {
	for i, d := range all {
		if i > 0 {
			fmt.Fprintln(out, "---")
		}
		if _, err := fmt.Fprintln(out, strings.TrimSuffix(d.Text, "\n")); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(out io.Writer, all []client.Document) error {
	if all == nil {
		all = []client.Document{} // [], not null
	}
	return json.NewEncoder(out).Encode(all)
}

// printNames prints what delete and describe take.
func printNames(out io.Writer, all []client.Document) error {
	for _, d := range all {
		if _, err := fmt.Fprintln(out, d.Kind, d.Name); err != nil {
			return err
		}
	}
	return nil
}

func newDescribe(api *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "describe KIND NAME",
		Short:   "Show one document with its revision",
		Example: "  atrium describe room hq/kitchen\n  atrium describe profile ti.tmp102",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := fetchDocuments(cmd, *api, args)
			if err != nil {
				return err
			}
			d := all[0]
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s %s\nrevision %d, applied %s\n\n", d.Kind, d.Name, d.Revision, d.AppliedAt.Local().Format(time.DateTime))
			return printYAML(out, all)
		},
	}
	cmd.ValidArgsFunction = completeDocument(api)
	return cmd
}

func newDelete(api *string) *cobra.Command {
	var revision uint64
	cmd := &cobra.Command{
		Use:   "delete KIND NAME",
		Short: "Delete a document of the catalog",
		Long: `delete removes one document, without asking again: its kind and name are exact.
A site's document goes last, and what its devices reported stays.`,
		Example: "  atrium delete room hq/kitchen\n  atrium delete pipeline hq/too-warm --revision 7",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := parseKind(args[0])
			if err != nil {
				return err
			}
			if err := document.CheckName(kind, args[1]); err != nil {
				return ops.Usage(err)
			}
			c, err := client.New(*api)
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), kind, args[1], client.Expect{Revision: revision}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s deleted\n", kind, args[1])
			return err
		},
	}
	cmd.ValidArgsFunction = completeDocument(api)
	cmd.Flags().Uint64Var(&revision, "revision", 0, "only if this is its revision (default: whatever is there)")
	return cmd
}

func newDiff(api *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Compare documents with the catalog's",
		Long: `diff shows what apply would change, as a unified diff of each document. The exit
status is 0 if nothing differs, 1 if something does, and 2 if that is unknown.`,
		Example: "  atrium diff -f site.yaml\n  atrium diff -f documents/ || atrium apply -f documents/",
		Args:    cobra.NoArgs,
	}
	files := sourceFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		differ, err := printDiff(cmd, *api, *files)
		switch {
		case err != nil:
			return ops.Usage(err) // for its status: as diff(1), 2 is trouble of any kind
		case differ:
			return ops.ErrReported
		}
		return nil
	}
	return cmd
}

func printDiff(cmd *cobra.Command, api string, files []string) (differ bool, err error) {
	c, err := client.New(api)
	if err != nil {
		return false, err
	}
	all, err := readSources(cmd, files)
	if err != nil {
		return false, reported(cmd, err, "nothing was compared")
	}
	for _, s := range all {
		d, err := c.Document(cmd.Context(), s.Kind, s.Name)
		before := fmt.Sprintf("%s (revision %d)", s, d.Revision)
		switch {
		case client.NotFound(err):
			before = "/dev/null"
		case err != nil:
			return false, err
		}
		if text := diff.Diff(before, []byte(d.Text), s.place(), s.Text); text != nil {
			differ = true
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return false, err
			}
		}
	}
	return differ, nil
}

// completeDocument completes KIND and then NAME, by what the catalog holds.
func completeDocument(api *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var out []cobra.Completion
		switch len(args) {
		case 0:
			for _, k := range document.Kinds() {
				out = append(out, string(k))
			}
		case 1:
			all, err := fetchDocuments(cmd, *api, args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			for _, d := range all {
				out = append(out, d.Name)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
