package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

// completeWithin bounds what a completion asks: somebody waits at a prompt. A
// node that is slower, or not there, completes nothing and says nothing.
const completeWithin = time.Second

// names asks a node for names.
type names func(ctx context.Context, c *client.Client) ([]string, error)

// ask returns the names, or none.
func (n names) ask(cmd *cobra.Command, api string) []string {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	c, err := client.New(api)
	if err != nil {
		return nil
	}
	found, err := n(ctx, c)
	if err != nil {
		return nil
	}
	return found
}

// completeEntity completes KIND and then a name of it.
func completeEntity(api *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return kindNames(), cobra.ShellCompDirectiveNoFileComp
		case 1:
			if k, err := parseKind(args[0]); err == nil {
				return completeName(cmd, *api, k, typed)
			}
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeName completes a name of a kind: first the site, then what it has.
func completeName(cmd *cobra.Command, api string, k kind, typed string) ([]string, cobra.ShellCompDirective) {
	site, _, sited := strings.Cut(typed, "/")
	if k.sited && !sited {
		found := completeSites(cmd, api)
		for i, s := range found {
			found[i] = s + "/"
		}
		if cmd.Name() == "get" { // takes a site too
			found = append(completeSites(cmd, api), found...)
		}
		return found, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	if !k.sited {
		site = ""
	}
	return names(func(ctx context.Context, c *client.Client) (found []string, err error) {
		all, err := k.find(ctx, c, site)
		for _, e := range all {
			found = append(found, e.Name)
		}
		return found, err
	}).ask(cmd, api), cobra.ShellCompDirectiveNoFileComp
}

func completeSites(cmd *cobra.Command, api string) []string {
	return names(func(ctx context.Context, c *client.Client) (found []string, err error) {
		sites, err := c.Sites(ctx)
		for _, s := range sites {
			found = append(found, s.Site)
		}
		return found, err
	}).ask(cmd, api)
}

// completeSite completes SITE.
func completeSite(api *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completeSites(cmd, *api), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeWatch completes SITE....
func completeWatch(api *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		found := slices.DeleteFunc(completeSites(cmd, *api), func(s string) bool { return slices.Contains(args, s) })
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeHistory completes SITE/DEVICE and then one of its points.
func completeHistory(api *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return completeName(cmd, *api, deviceKind(), typed)
		case 1:
			return completePoints(cmd, *api, args[0]), cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

func completePoints(cmd *cobra.Command, api, device string) []string {
	return names(func(ctx context.Context, c *client.Client) (found []string, err error) {
		dev, err := id.ParseDevice(device)
		if err != nil {
			return nil, err
		}
		d, err := c.Device(ctx, dev)
		for _, p := range d.Points {
			found = append(found, p.Point)
		}
		return found, err
	}).ask(cmd, api)
}

// completeCommand completes SITE/DEVICE, and the argument of a switch.
func completeCommand(api *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case 0:
			return completeName(cmd, *api, deviceKind(), typed)
		case 2:
			return []string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}
