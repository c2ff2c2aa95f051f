package cloudformation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cfn "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// export answers Fn::ImportValue.
func (s *Service) export(name string) (string, error) {
	stacks, err := s.live()
	if err != nil {
		return "", err
	}
	for _, stack := range stacks {
		for _, o := range stack.Outputs {
			if o.ExportName == name {
				return o.Value, nil
			}
		}
	}
	return "", fmt.Errorf("No export named %s found", name) //nolint:staticcheck // CloudFormation's own words
}

// live lists the stacks that are not deleted, by name.
func (s *Service) live() ([]stackRecord, error) {
	entries, err := s.stacks.List("")
	if err != nil {
		return nil, err
	}
	var stacks []stackRecord
	for _, entry := range entries {
		if entry.Value.live() {
			stacks = append(stacks, entry.Value)
		}
	}
	return stacks, nil
}

// checkExports verifies that a stack's new outputs export no name that another
// stack exports, and neither drop nor change an export that another stack
// imports.
func (s *Service) checkExports(stack *stackRecord, outputs []outputRecord) error {
	others, err := s.live()
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(other stackRecord) bool { return other.ID == stack.ID })
	after := map[string]string{}
	for _, o := range outputs {
		after[o.ExportName] = o.Value
		if owner := exporter(others, o.ExportName); owner != "" {
			return invalid("Export with name %s is already exported by stack %s. Rule: each exported name must be unique.", o.ExportName, owner)
		}
	}
	for _, o := range stack.Outputs {
		users := importers(others, o.ExportName)
		if value, kept := after[o.ExportName]; len(users) == 0 || kept && value == o.Value {
			continue
		}
		return invalid("Cannot delete or change export %s as it is in use by %s.", o.ExportName, strings.Join(users, ", "))
	}
	return nil
}

func exporter(stacks []stackRecord, name string) string {
	for _, stack := range stacks {
		if name != "" && slices.ContainsFunc(stack.Outputs, func(o outputRecord) bool { return o.ExportName == name }) {
			return stack.Name
		}
	}
	return ""
}

func importers(stacks []stackRecord, name string) []string {
	var users []string
	for _, stack := range stacks {
		if name != "" && slices.Contains(stack.Imports, name) {
			users = append(users, stack.Name)
		}
	}
	return users
}

// imports are the exports that the plan made use of.
func (p *planner) imports() []string { return slices.Sorted(maps.Keys(p.imported)) }

// ListExports lists the outputs that stacks export.
func (s *Service) ListExports(_ context.Context, in *cfn.ListExportsInput) (*cfn.ListExportsOutput, error) {
	stacks, err := s.live()
	if err != nil {
		return nil, err
	}
	var exports []types.Export
	for _, stack := range stacks {
		for _, o := range stack.Outputs {
			if o.ExportName != "" {
				exports = append(exports, types.Export{ExportingStackId: &stack.ID, Name: &o.ExportName, Value: &o.Value})
			}
		}
	}
	page, next, err := pageOf(exports, func(e types.Export) string { return *e.Name }, in.NextToken)
	return &cfn.ListExportsOutput{Exports: page, NextToken: next}, err
}

// ListImports lists the stacks that import an export.
func (s *Service) ListImports(_ context.Context, in *cfn.ListImportsInput) (*cfn.ListImportsOutput, error) {
	stacks, err := s.live()
	if err != nil {
		return nil, err
	}
	users := importers(stacks, aws.ToString(in.ExportName))
	if len(users) == 0 {
		return nil, invalid("Export '%s' is not imported by any stack.", aws.ToString(in.ExportName))
	}
	page, next, err := pageOf(users, func(name string) string { return name }, in.NextToken)
	return &cfn.ListImportsOutput{Imports: page, NextToken: next}, err
}
