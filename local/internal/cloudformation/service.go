package cloudformation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/resources"
	"github.com/codebuild-flex/flexbuild/local/internal/cloudformation/template"
	"github.com/codebuild-flex/flexbuild/local/internal/iam"
	"github.com/codebuild-flex/flexbuild/local/internal/paging"
	"github.com/codebuild-flex/flexbuild/local/internal/store"
)

// Version and Namespace are CloudFormation's in AWS Query.
const (
	Version   = "2010-05-15"
	Namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
)

// Options are the settings of a Service. Store, Clock, Region, IAM and
// Providers are required.
type Options struct {
	Store  *store.Store
	Clock  clockwork.Clock
	Region string

	// IAM decides who may have a stack work as a role, and whether it can.
	IAM *iam.Service
	// Providers handle the resource types, by their names; see
	// [resources.Providers].
	Providers map[string]resources.Provider
	// Objects are where a TemplateURL may point, under the names of S3 in the
	// region and under Host, the engine's own address.
	Objects Objects
	Host    string
	// Parameters answers template parameters of the type
	// AWS::SSM::Parameter::Value<String>. If nil they are refused.
	Parameters template.ParameterStore

	Log *slog.Logger // failures that cannot be returned to a caller; discarded by default
}

// A Service is the local engine's CloudFormation. It is safe for concurrent
// use.
type Service struct {
	Options

	// mu makes each request's look at a stack and the change that follows one
	// step.
	mu         sync.Mutex
	stacks     *store.Table[stackRecord]
	changeSets *store.Table[changeSetRecord]
	events     *store.Table[types.StackEvent]

	// ctx ends the operations at work, which running counts.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New returns the service whose state is in options.Store. Operations that were
// cut off when the engine last ended are marked as failed.
func New(options Options) (*Service, error) {
	options.Log = cmp.Or(options.Log, slog.New(slog.DiscardHandler))
	s := &Service{Options: options}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := errors.Join(
		store.OpenTable(s.Store, "cloudformation.stacks", &s.stacks),
		store.OpenTable(s.Store, "cloudformation.changesets", &s.changeSets),
		store.OpenTable(s.Store, "cloudformation.events", &s.events),
	); err != nil {
		return nil, err
	}
	return s, s.recover()
}

// Close ends the operations at work after the resource that each is at, and
// waits for them. Their stacks are found failed by the next New.
func (s *Service) Close() error {
	s.cancel()
	s.running.Wait()
	return nil
}

// Wait returns when no operation is at work, or when ctx is done.
func (s *Service) Wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errNoStack is why find found nothing; callers word it as their operation
// does.
var errNoStack = errors.New("stack does not exist")

// find returns the stack with a name, which a deleted stack has no more, or
// with an id.
func (s *Service) find(nameOrID string) (*stackRecord, error) {
	if strings.HasPrefix(nameOrID, "arn:") {
		return s.findByID(nameOrID)
	}
	entries, err := s.stacks.List(nameOrID + "/")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.Value.live() {
			return &entry.Value, nil
		}
	}
	return nil, errNoStack
}

func (s *Service) findByID(id string) (*stackRecord, error) {
	_, key, _ := strings.Cut(id, "/")
	record, found, err := s.stacks.Get(key)
	if err != nil {
		return nil, err
	}
	if !found || record.ID != id {
		return nil, errNoStack
	}
	return &record, nil
}

// mustFind is find for the operations that name a missing stack in square
// brackets.
func (s *Service) mustFind(nameOrID string) (*stackRecord, error) {
	record, err := s.find(nameOrID)
	if errors.Is(err, errNoStack) {
		return nil, invalid("Stack [%s] does not exist", nameOrID)
	}
	return record, err
}

// mustFindID is find for the operations that name a missing stack as an id.
// The CDK and AWS CLIs compare these words.
func (s *Service) mustFindID(nameOrID string) (*stackRecord, error) {
	record, err := s.find(nameOrID)
	if errors.Is(err, errNoStack) {
		return nil, invalid("Stack with id %s does not exist", nameOrID)
	}
	return record, err
}

// newStack makes the record of a stack that does not exist yet.
func (s *Service) newStack(name string) *stackRecord {
	return &stackRecord{
		ID:        s.arn("stack", name, uuid.NewString()),
		Name:      name,
		Created:   s.now(),
		Resources: map[string]resourceRecord{},
	}
}

// save writes a stack. Termination protection may be changed, and a deletion
// seen, while an operation has its own copy of the stack: what is stored
// stands.
func (s *Service) save(stack *stackRecord) error {
	_, err := s.stacks.Update(stack.key(), func(stored stackRecord, found bool) (stackRecord, error) {
		if found {
			stack.TerminationProtection = stored.TerminationProtection
			stack.DeletionUnseen = stack.DeletionUnseen && (stored.DeletionUnseen || stored.Operation != stack.Operation)
		}
		return *stack, nil
	})
	if err != nil {
		return fmt.Errorf("save stack %s: %w", stack.Name, err)
	}
	return nil
}

// maxPage is the number of items in a page.
const maxPage = 100

// pageOf returns a page of items, as paging.Page does.
func pageOf[T any](items []T, key func(T) string, token *string) ([]T, *string, error) {
	page, next, err := paging.Page(items, key, token, maxPage)
	if errors.Is(err, paging.ErrToken) {
		err = invalid("NextToken %q is not one that this operation gave out", *token)
	}
	return page, next, err
}
