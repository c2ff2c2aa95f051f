package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"

	"github.com/codebuild-flex/flexbuild/runner"
)

// machines are CodeBuild's environment types, and computeTypes its sizes of
// machines, as Service Quotas names them: "Concurrently running builds for
// Linux/Small environment".
var (
	machines     = map[types.EnvironmentType]string{types.EnvironmentTypeLinuxContainer: "Linux", types.EnvironmentTypeArmContainer: "ARM"}
	computeTypes = []struct {
		compute types.ComputeType
		name    string
	}{
		{types.ComputeTypeBuildGeneral1Small, "Small"}, {types.ComputeTypeBuildGeneral1Medium, "Medium"},
		{types.ComputeTypeBuildGeneral1Large, "Large"}, {types.ComputeTypeBuildGeneral1Xlarge, "XLarge"},
		{types.ComputeTypeBuildGeneral12xlarge, "2XLarge"},
	}
)

// quotaPatience is how long doctor waits for Service Quotas. Builds do not need
// it, so GrantStart does not allow it, and a firewall may not either.
const quotaPatience = 10 * time.Second

// quotas reports how many builds the account may run at once on machines such
// as the project's. An account that may run none is not ready for builds. That
// a quota could not be read is a note.
func (d *doctor) quotas(ctx context.Context, stack runner.Stack) {
	ctx, cancel := context.WithTimeout(ctx, quotaPatience)
	defer cancel()
	const unread = "how many builds may run at once could not be read; AWS's console has it in Service Quotas, \"AWS CodeBuild\": %v"
	environment, err := d.environment(ctx, stack.ProjectName)
	if err != nil {
		d.note("quota", unread, err)
		return
	}
	if environment.Fleet != nil {
		d.note("quota", "the project's builds run on a fleet, whose capacity limits them")
		return
	}
	values, err := d.concurrencies(ctx)
	if err != nil {
		d.note("quota", unread, err)
		return
	}
	machine, none := machines[environment.Type], ""
	var found []string
	for _, c := range computeTypes {
		value, known := values[machine+"/"+c.name]
		if !known {
			continue
		}
		found = append(found, fmt.Sprintf("%s %g", c.name, value))
		if value == 0 && c.compute == environment.ComputeType {
			none = machine + "/" + c.name
		}
	}
	all := fmt.Sprintf("builds that may run at once on %s: %s", machine, strings.Join(found, ", "))
	switch {
	case len(found) == 0:
		d.note("quota", unread, fmt.Errorf("no quota is named after machines of the type %s", environment.Type))
	case none != "":
		d.missing("quota", fmt.Errorf("the account may run no build on %s, which the project uses: ask for more in Service Quotas (AWS CodeBuild, \"Concurrently running builds for %[1]s environment\"), or use another --size; %s", none, all))
	default:
		d.ok("quota", "%s", all)
	}
}

// environment returns what the project says of its machines.
func (d *doctor) environment(ctx context.Context, project string) (*types.ProjectEnvironment, error) {
	out, err := codebuild.NewFromConfig(d.cfg).BatchGetProjects(ctx, &codebuild.BatchGetProjectsInput{Names: []string{project}})
	if err != nil {
		return nil, err
	}
	if len(out.Projects) != 1 || out.Projects[0].Environment == nil {
		return nil, errors.New("CodeBuild does not describe the project " + project)
	}
	return out.Projects[0].Environment, nil
}

// concurrencies returns the account's quotas of concurrent builds, by the kind
// of machine, such as "Linux/Small".
func (d *doctor) concurrencies(ctx context.Context) (map[string]float64, error) {
	values := map[string]float64{}
	pages := servicequotas.NewListServiceQuotasPaginator(servicequotas.NewFromConfig(d.cfg), &servicequotas.ListServiceQuotasInput{ServiceCode: aws.String("codebuild")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, quota := range page.Quotas {
			name, ok := strings.CutPrefix(aws.ToString(quota.QuotaName), "Concurrently running builds for ")
			if ok && quota.Value != nil {
				values[strings.TrimSuffix(name, " environment")] = *quota.Value
			}
		}
	}
	return values, nil
}
