package ecr

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Bounds of the text of a lifecycle policy, in ECR's API model.
const minLifecyclePolicy, maxLifecyclePolicy = 100, 30720

// lifecyclePolicy is the form of a lifecycle policy in ECR's user guide. A
// field that it does not have is refused.
type lifecyclePolicy struct {
	Rules []lifecycleRule `json:"rules"`
}

type lifecycleRule struct {
	RulePriority int     `json:"rulePriority"`
	Description  *string `json:"description"`
	Selection    struct {
		TagStatus      string   `json:"tagStatus"`
		TagPatternList []string `json:"tagPatternList"`
		TagPrefixList  []string `json:"tagPrefixList"`
		StorageClass   string   `json:"storageClass"`
		CountType      string   `json:"countType"`
		CountUnit      string   `json:"countUnit"`
		CountNumber    int      `json:"countNumber"`
	} `json:"selection"`
	Action struct {
		Type               string `json:"type"`
		TargetStorageClass string `json:"targetStorageClass"`
	} `json:"action"`
}

// counts says what goes with each type of count. That ECR moves images to the
// archive by the time of their last pull, and does not delete them by it, is
// not in the user guide: ECR refuses it
// (https://github.com/aws/containers-roadmap/issues/2728).
var counts = map[string]struct{ unit, class, action string }{
	"imageCountMoreThan":     {"", "standard", "expire"},
	"sinceImagePushed":       {"days", "standard", "expire"},
	"sinceImagePulled":       {"days", "standard", "transition"},
	"sinceImageTransitioned": {"days", "archive", "expire"},
}

// checkLifecyclePolicy refuses the text of a lifecycle policy that ECR would
// refuse. No text is no policy.
func checkLifecyclePolicy(text string) error {
	if text == "" {
		return nil
	}
	if n := len(text); n < minLifecyclePolicy || n > maxLifecyclePolicy {
		return invalidLifecycle("it has %d characters, not %d to %d", n, minLifecyclePolicy, maxLifecyclePolicy)
	}
	var policy lifecyclePolicy
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&policy); err != nil {
		return invalidLifecycle("%v", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return invalidLifecycle("there is more after the policy")
	}
	if len(policy.Rules) == 0 {
		return invalidLifecycle("it has no rules")
	}
	for i, rule := range policy.Rules {
		if problem := cmp.Or(rule.problem(), rule.conflict(slices.Concat(policy.Rules[:i], policy.Rules[i+1:]))); problem != "" {
			return invalidLifecycle("rules[%d]: %s", i, problem)
		}
	}
	return nil
}

func invalidLifecycle(format string, args ...any) error {
	return invalid("Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: %s'", fmt.Sprintf(format, args...))
}

// class is the storage class of the images that a rule selects.
func (r lifecycleRule) class() string { return cmp.Or(r.Selection.StorageClass, "standard") }

// problem says what is wrong with a rule by itself.
func (r lifecycleRule) problem() string {
	s := r.Selection
	count, known := counts[s.CountType]
	class := r.class()
	lists := len(s.TagPatternList) + len(s.TagPrefixList)
	switch {
	case r.RulePriority < 1:
		return fmt.Sprintf("the rulePriority is %d, not 1 or more", r.RulePriority)
	case !slices.Contains([]string{"tagged", "untagged", "any"}, s.TagStatus):
		return fmt.Sprintf("the tagStatus is %q, not tagged, untagged or any", s.TagStatus)
	case (s.TagStatus == "tagged") != (lists > 0):
		return fmt.Sprintf("a tagPatternList or a tagPrefixList goes with the tagStatus tagged, and only with it; it is %s", s.TagStatus)
	case len(s.TagPatternList) > 0 && len(s.TagPrefixList) > 0:
		return "it has both a tagPatternList and a tagPrefixList"
	case !known:
		return fmt.Sprintf("the countType is %q, not imageCountMoreThan, sinceImagePushed, sinceImagePulled or sinceImageTransitioned", s.CountType)
	case s.CountUnit != count.unit:
		return fmt.Sprintf("the countUnit is %q, with the countType %s it must be %q", s.CountUnit, s.CountType, count.unit)
	case s.CountNumber < 1:
		return fmt.Sprintf("the countNumber is %d, not 1 or more", s.CountNumber)
	case class != count.class:
		return fmt.Sprintf("the storageClass is %s, with the countType %s it must be %s", class, s.CountType, count.class)
	case r.Action.Type != count.action:
		return fmt.Sprintf("the action is %q, with the countType %s it must be %s", r.Action.Type, s.CountType, count.action)
	case (r.Action.TargetStorageClass == "archive") != (r.Action.Type == "transition"):
		return fmt.Sprintf("the targetStorageClass is %q, archive goes with the action transition, and only with it", r.Action.TargetStorageClass)
	}
	return ""
}

// conflict says what is wrong with a rule beside the others of its policy.
func (r lifecycleRule) conflict(others []lifecycleRule) string {
	for _, other := range others {
		same := other.Selection.TagStatus == r.Selection.TagStatus && other.class() == r.class()
		switch {
		case other.RulePriority == r.RulePriority:
			return fmt.Sprintf("another rule has the rulePriority %d too", r.RulePriority)
		case same && r.Selection.TagStatus != "tagged":
			return fmt.Sprintf("another rule has the tagStatus %s too", r.Selection.TagStatus)
		case r.Selection.TagStatus == "any" && other.Selection.TagStatus != "any" && other.RulePriority > r.RulePriority:
			return "a rule with the tagStatus any must have the highest rulePriority"
		}
	}
	return ""
}
