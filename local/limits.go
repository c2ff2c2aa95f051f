package local

// awsConcurrency is how many builds a new account runs at the same time.
// Source: "Quotas for AWS CodeBuild" of the user guide, and reports of new
// accounts. Their quota is raised on demand.
const awsConcurrency = 1

// awsRates are AWS's default quotas, in calls a second, by the action that a
// call needs. Where they differ between regions, they are those of the slower
// ones. Sources: "Quotas" of the user guides of CloudWatch Logs and Amazon ECR.
// CodeBuild's are not published: docs/scale.md assumes 10 for BatchGetBuilds,
// and so does this table for StartBuild.
var awsRates = map[string]float64{
	"codebuild:BatchGetBuilds": 10,
	"codebuild:StartBuild":     10,

	"logs:CreateLogStream": 50,
	"logs:FilterLogEvents": 5,
	"logs:GetLogEvents":    10,

	"ecr:BatchCheckLayerAvailability": 1000,
	"ecr:BatchGetImage":               2000,
	"ecr:CompleteLayerUpload":         100,
	"ecr:GetAuthorizationToken":       500,
	"ecr:InitiateLayerUpload":         100,
	"ecr:PutImage":                    10,
	"ecr:UploadLayerPart":             500,
}
