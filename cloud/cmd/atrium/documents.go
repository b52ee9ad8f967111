package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/ops"
)

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
			kind, err := document.ParseKind(strings.TrimSuffix(args[0], "s"))
			if err == nil {
				err = document.CheckName(kind, args[1])
			}
			if err != nil {
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
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var out []string
		switch len(args) {
		case 0:
			for _, k := range document.Kinds() {
				out = append(out, string(k))
			}
		case 1:
			out = names(func(ctx context.Context, c *client.Client) (found []string, err error) {
				all, err := c.Documents(ctx, document.Kind(args[0]), "")
				for _, d := range all {
					found = append(found, d.Name)
				}
				return found, err
			}).ask(cmd, *api)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
