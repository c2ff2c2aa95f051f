package cloudformation

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
)

// A stack that retained a named resource when it was deleted cannot be created
// again: the name is taken. ImportExistingResources of CreateChangeSet, which
// is `cdk deploy --import-existing-resources`, makes it take the resource over.
// As on AWS that needs a name in the template and a DeletionPolicy that
// retains, and no other stack may have the resource.

// adoptNothing is for the requests that do not ask for it.
func adoptNothing(*step, template.Resource) error { return nil }

// adopter turns the addition of what exists into its import.
func (s *Service) adopter(ctx context.Context, stack *stackRecord, importing bool) func(*step, template.Resource) error {
	if !importing {
		return adoptNothing
	}
	return func(st *step, r template.Resource) error {
		importer, ok := s.Providers[st.Type].(resources.Importer)
		if !ok {
			return nil
		}
		id, exists, err := importer.Existing(ctx, resources.Request{StackName: stack.Name, StackID: stack.ID, LogicalID: st.LogicalID, Properties: st.After})
		if err != nil || !exists {
			return err
		}
		if r.DeletionPolicy != template.PolicyRetain && r.DeletionPolicy != template.PolicyRetainExceptOnCreate {
			return fmt.Errorf("%s exists; to import it, the resource needs a DeletionPolicy of Retain or RetainExceptOnCreate", id)
		}
		owner, err := s.ownerOf(st.Type, id)
		if owner != "" {
			return fmt.Errorf("%s cannot be imported: it belongs to stack %s", id, owner)
		}
		st.Action, st.PhysicalID = adopt, id
		return err
	}
}

// ownerOf names the stack that has a resource, "" if none has.
func (s *Service) ownerOf(kind, physicalID string) (string, error) {
	entries, err := s.stacks.List("")
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		for _, r := range entry.Value.Resources {
			if entry.Value.live() && r.Type == kind && r.PhysicalID == physicalID {
				return entry.Value.Name, nil
			}
		}
	}
	return "", nil
}

// adopt takes a resource over and gives it the template's properties.
func (op *operation) adopt(r resourceRecord) error {
	r.Imported = true
	op.progress(r, types.ResourceStatusImportInProgress, "")
	made, err := op.service.Providers[r.Type].Update(op.ctx, op.request(r, nil), r.PhysicalID)
	if err != nil {
		op.progress(r, types.ResourceStatusImportFailed, resources.WithoutCode(err).Error())
		return err
	}
	r.Attributes = made.Attributes
	op.progress(r, types.ResourceStatusImportComplete, strings.TrimSpace("Resource import completed. "+made.Note))
	return nil
}
