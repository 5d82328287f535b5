"""One environment: the stack's settings, composed into components. What each setting means: docs/settings.md."""

import pulumi

import pulumi_llm

settings = pulumi_llm.load()
for warning in settings.warnings():
    pulumi.log.warn(warning)

if settings.permissions_boundary:
    pulumi.runtime.register_stack_transformation(pulumi_llm.role_boundary(settings.permissions_boundary))

baseline: list[pulumi.Resource] = []
if settings.account_baseline.enabled:
    baseline = [pulumi_llm.AccountBaseline("account", settings.account_baseline_args())]

if settings.observability.enabled:
    pulumi_llm.Observability("observability", settings.observability_args())
if (reason := settings.observability.budget_waiver) is not None:
    told = reason if isinstance(reason, str) else "the output budget_waiver says why"
    pulumi.log.warn(f"this environment has no budget: {told}")
    pulumi.export("budget_waiver", reason)

network = pulumi_llm.InferenceNetwork("network", settings.network_args()) if settings.network.enabled else None
cluster = None
if settings.has_gpu and network is not None:
    boundary = settings.gpu.permissions_boundary if settings.gpu else None
    bounded = pulumi.ResourceOptions(transformations=[pulumi_llm.role_boundary(boundary)] if boundary else None)
    cluster = pulumi_llm.GpuInferenceCluster("gpu", settings.gpu_args(network), bounded)
    pulumi.export("llm_endpoint", cluster.endpoint)
    if settings.gpu and settings.gpu.private_link:
        pulumi.export("llm_endpoint_service", cluster.endpoint_service_name)

knowledge_base = None
if settings.knowledge_base.enabled:
    knowledge_base = pulumi_llm.KnowledgeBase("knowledge", settings.knowledge_base_args())
    pulumi.export("knowledge_base_id", knowledge_base.knowledge_base_id)
    pulumi.export("data_source_id", knowledge_base.data_source_id)
    pulumi.export("documents_bucket", knowledge_base.bucket_name)

if settings.api.enabled:
    # A stage with access logs is refused before the Region has the baseline's log role.
    after_baseline = pulumi.ResourceOptions(depends_on=baseline)
    api = pulumi_llm.ServerlessBedrockApi("chat", settings.api_args(network, cluster, knowledge_base), after_baseline)
    pulumi.export("api_gateway_url", api.url)
    pulumi.export("stream_url", api.stream_url)
    pulumi.export("api_key_value", api.default_api_key)
    pulumi.export("api_keys", api.api_keys)
    pulumi.export("cloudwatch_log_group", api.log_group_name)
    pulumi.export("lambda_function_name", api.function_name)

    if settings.api.flags:
        pulumi.export("flags_configuration", api.flags_configuration)
        pulumi.export("flags_strategy_id", api.flags_strategy_id)

    websocket = None
    if settings.websocket.enabled:
        websocket_args = settings.websocket_args(api, network, cluster, knowledge_base)
        websocket = pulumi_llm.WebSocketChat("websocket", websocket_args, after_baseline)
        pulumi.export("websocket_url", websocket.websocket_url)

    jobs = None
    if settings.async_inference.enabled:
        jobs_args = settings.async_inference_args(api, network, cluster, knowledge_base)
        jobs = pulumi_llm.AsyncInference("jobs", jobs_args)
        pulumi.export("jobs_event_bus", jobs.event_bus_name)
        pulumi.export("jobs_pipe", jobs.pipe_name)
        pulumi.export("jobs_table_arn", api.jobs_table_arn)
        pulumi.export("jobs_queue_url", jobs.queue_url)
        pulumi.export("jobs_dead_letter_queue_arn", jobs.dead_letter_queue_arn)
        if settings.async_inference.notifications:
            pulumi.export("jobs_webhook_dead_letter_queue_arn", jobs.webhook_dead_letter_queue_arn)

    if settings.usage_analytics.enabled:
        usage = pulumi_llm.UsageAnalytics("usage", settings.usage_analytics_args(api, websocket, jobs))
        pulumi.export("usage_dead_letter_queue_url", usage.dead_letter_queue_url)

    if settings.frontend.enabled:
        frontend = pulumi_llm.CdnFrontend("frontend", settings.frontend_args(api, websocket))
        pulumi.export("frontend_url", frontend.url)
        pulumi.export("distribution_id", frontend.distribution_id)
