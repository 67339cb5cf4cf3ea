"""The classes of `sessionlib.agent.tools` for type checkers and editors; made by ``.ci/catalogue.py``."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeAlias

from sessionlib.agent.agent import Agent
from sessionlib.agent.tool import Tool, ToolApprovalConfig, ToolInput
from sessionlib.agent.tools import CustomTool as CustomTool
from sessionlib.agent.tools import McpConnectorTool as McpConnectorTool
from sessionlib.agent.tools import McpServerTool as McpServerTool
from sessionlib.agent.tools import PlatformTool
from sessionlib.agent.tools import TransformationTool as TransformationTool

P = ParamSpec("P")
Approval: TypeAlias = ToolApprovalConfig | str

class Adds(Generic[P]):
    def __init__(self, tool: Callable[P, Any]) -> None: ...
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Agent: ...

class AddNodeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
    ) -> None: ...

class AgentTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        use_existing_agent: bool | ToolInput | None = ...,
        agent: Any = ...,
        *,
        agent_config: Any = ...,
        provider: Any = ...,
        model: Any = ...,
        processed_inputs: dict[str, Any] | ToolInput | None = ...,
        processed_outputs: dict[str, Any] | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class AiAudioOperationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class AiFillPdfTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        select_pages: bool | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        context: str | ToolInput | None = ...,
        file: Any = ...,
        model: str | ToolInput | None = ...,
        selected_pages: str | ToolInput | None = ...,
    ) -> None: ...

class AiFilterListTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        filter_mode: str | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        ai_condition: str | ToolInput | None = ...,
        list_to_filter: list[str] | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        output_blank_value: bool | ToolInput | None = ...,
        filter_by: list[str] | ToolInput | None = ...,
    ) -> None: ...

class AiImageOperationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class AiImageToImageTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        aspect_ratio: Any = ...,
        images: list[Any] | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        prompt: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        size: str | ToolInput | None = ...,
    ) -> None: ...

class AiImageToTextTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        json_response: bool | ToolInput | None = ...,
        stream: bool | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        image: Any = ...,
        max_tokens: int | ToolInput | None = ...,
        prompt: str | ToolInput | None = ...,
        system: str | ToolInput | None = ...,
        temperature: float | ToolInput | None = ...,
        top_p: float | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        json_schema: str | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
    ) -> None: ...

class AiOperationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class AiRoutingTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        provider: str | ToolInput | None = ...,
        enable_shared_memory: bool | ToolInput | None = ...,
        *,
        conditions: list[str] | ToolInput | None = ...,
        input_query: str | ToolInput | None = ...,
        max_tokens: int | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        outputs: dict[str, Any] | ToolInput | None = ...,
        temperature: float | ToolInput | None = ...,
        top_p: float | ToolInput | None = ...,
        shared_memory: str | ToolInput | None = ...,
    ) -> None: ...

class AiSpeechToTextTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        audio: Any = ...,
        model: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        tier: str | ToolInput | None = ...,
    ) -> None: ...

class AiTextToImageTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        provider: Any = ...,
        model: Any = ...,
        *,
        prompt: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        size: str | ToolInput | None = ...,
        aspect_ratio: str | ToolInput | None = ...,
    ) -> None: ...

class AiTextToSpeechTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        model: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        voice: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
    ) -> None: ...

class ApiTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        is_raw_json: bool | ToolInput | None = ...,
        *,
        fail_non_2xx_response: bool | ToolInput | None = ...,
        files: list[Any] | ToolInput | None = ...,
        headers: list[Any] | ToolInput | None = ...,
        method: str | ToolInput | None = ...,
        query_params: list[Any] | ToolInput | None = ...,
        url: str | ToolInput | None = ...,
        raw_json: str | ToolInput | None = ...,
        body_params: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class AppendFilesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        file_type: str | ToolInput | None = ...,
        selected_files: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class ArxivTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        chunk_text: bool | ToolInput | None = ...,
        *,
        query: str | ToolInput | None = ...,
        chunk_size: int | ToolInput | None = ...,
        chunk_overlap: int | ToolInput | None = ...,
    ) -> None: ...

class BrowserExtensionTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        page_content: str | ToolInput | None = ...,
        page_html: str | ToolInput | None = ...,
        page_urls: list[str] | ToolInput | None = ...,
        screenshot: Any = ...,
        show_chrome_extension: bool | ToolInput | None = ...,
        url: str | ToolInput | None = ...,
    ) -> None: ...

class CategorizerTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        justification: bool | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        additional_context: str | ToolInput | None = ...,
        fields: list[Any] | ToolInput | None = ...,
        max_tokens: int | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        temperature: float | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        top_p: float | ToolInput | None = ...,
    ) -> None: ...

class ChatFileReaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        chunk_overlap: int | ToolInput | None = ...,
        chunk_size: int | ToolInput | None = ...,
        file_parser: str | ToolInput | None = ...,
        max_docs_per_query: int | ToolInput | None = ...,
        retrieval_unit: str | ToolInput | None = ...,
    ) -> None: ...

class ChatMemoryTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        memory_type: str | ToolInput | None = ...,
        *,
        memory_window: int | ToolInput | None = ...,
    ) -> None: ...

class ChunkingTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        splitter_method: str | ToolInput | None = ...,
        *,
        chunk_overlap: int | ToolInput | None = ...,
        chunk_size: int | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        segmentation_method: str | ToolInput | None = ...,
    ) -> None: ...

class CodeExecutionTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        code: str | ToolInput | None = ...,
        function_name: str | ToolInput | None = ...,
        input_schema: list[Any] | ToolInput | None = ...,
        language: Any = ...,
        output_schema: list[Any] | ToolInput | None = ...,
        processed_inputs: dict[str, Any] | ToolInput | None = ...,
        processed_outputs: dict[str, Any] | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class CodeInterpreterTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        code: str | ToolInput | None = ...,
        files: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class CombineListTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        type: str | ToolInput | None = ...,
        *,
        list: list[list[Any]] | ToolInput | None = ...,
    ) -> None: ...

class CombineTextTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        text: list[str] | ToolInput | None = ...,
    ) -> None: ...

class ConditionTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        conditions: list[Any] | ToolInput | None = ...,
        outputs: dict[str, Any] | ToolInput | None = ...,
    ) -> None: ...

class ConvertTypeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        target_type: str | ToolInput | None = ...,
        *,
        source_type: str | ToolInput | None = ...,
        value: str | ToolInput | None = ...,
    ) -> None: ...

class CreateListTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        type: str | ToolInput | None = ...,
        *,
        list: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class CreateSessionTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        agent_id: Any = ...,
        name: str | ToolInput | None = ...,
    ) -> None: ...

class CreateSkillTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        content: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        skill_description: str | ToolInput | None = ...,
    ) -> None: ...

class CreateWorkspaceTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        files: list[Any] | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        portal: Any = ...,
        shared_emails: list[str] | ToolInput | None = ...,
    ) -> None: ...

class CrunchbaseTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        body: str | ToolInput | None = ...,
        endpoint: str | ToolInput | None = ...,
        query_params: str | ToolInput | None = ...,
    ) -> None: ...

class CsvQueryTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        csv: Any = ...,
        query: str | ToolInput | None = ...,
        stream: bool | ToolInput | None = ...,
    ) -> None: ...

class CsvReaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        file_type: str | ToolInput | None = ...,
        is_file_variable: bool | ToolInput | None = ...,
        *,
        processed_outputs: dict[str, Any] | ToolInput | None = ...,
        selected_file: Any = ...,
        columns: list[Any] | ToolInput | None = ...,
        manual_columns: list[Any] | ToolInput | None = ...,
        sheet: str | ToolInput | None = ...,
        sheets: list[str] | ToolInput | None = ...,
    ) -> None: ...

class CsvToExcelTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        csv_file: Any = ...,
        horizontal_alignment: str | ToolInput | None = ...,
        max_column_width: int | ToolInput | None = ...,
        vertical_alignment: str | ToolInput | None = ...,
        wrap_text: bool | ToolInput | None = ...,
    ) -> None: ...

class CsvWriterTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        selected_option: str | ToolInput | None = ...,
        load_option: str | ToolInput | None = ...,
        *,
        columns: list[Any] | ToolInput | None = ...,
        selected_file: Any = ...,
        csv_string: str | ToolInput | None = ...,
    ) -> None: ...

class CustomGroupTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
    ) -> None: ...

class CustomSmtpEmailSenderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        connection_type: str | ToolInput | None = ...,
        email_body: str | ToolInput | None = ...,
        email_subject: str | ToolInput | None = ...,
        recipient_email: str | ToolInput | None = ...,
        send_as_html: bool | ToolInput | None = ...,
        sender_email: str | ToolInput | None = ...,
        sender_name: str | ToolInput | None = ...,
        sender_password: str | ToolInput | None = ...,
        smtp_server: str | ToolInput | None = ...,
        smtp_server_port: int | ToolInput | None = ...,
    ) -> None: ...

class DataCollectorTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        auto_generate: bool | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        data_collector_node_id: str | ToolInput | None = ...,
        fields: list[Any] | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        prompt: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
    ) -> None: ...

class DataframeAggregateTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        dataframe_type: str | ToolInput | None = ...,
        *,
        aggregation_column: str | ToolInput | None = ...,
        aggregation_type: str | ToolInput | None = ...,
        dataframe: Any = ...,
        group_by_columns: list[str] | ToolInput | None = ...,
    ) -> None: ...

class DataframeGetSchemaTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        dataframe_type: str | ToolInput | None = ...,
        *,
        dataframe: Any = ...,
    ) -> None: ...

class DataframeNlQueryTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        dataframe_type: str | ToolInput | None = ...,
        *,
        dataframe: Any = ...,
        nlquery: str | ToolInput | None = ...,
    ) -> None: ...

class DataframeOperationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class DataframeRawQueryTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        dataframe_type: str | ToolInput | None = ...,
        *,
        dataframe: Any = ...,
        preload: bool | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
    ) -> None: ...

class DataframeReadColumnsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        column_type: str | ToolInput | None = ...,
        dataframe_type: str | ToolInput | None = ...,
        *,
        column_name: str | ToolInput | None = ...,
        dataframe: Any = ...,
    ) -> None: ...

class DeepResearchTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        provider: str | ToolInput | None = ...,
        stream: bool | ToolInput | None = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        *,
        conversation: str | ToolInput | None = ...,
        input: str | ToolInput | None = ...,
        instructions: str | ToolInput | None = ...,
        max_output_tokens: int | ToolInput | None = ...,
        max_tool_calls: int | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        parallel_tool_calls: bool | ToolInput | None = ...,
        previous_response_id: str | ToolInput | None = ...,
        prompt_cache_key: str | ToolInput | None = ...,
        safety_identifier: str | ToolInput | None = ...,
        service_tier: str | ToolInput | None = ...,
        tool_choice: str | ToolInput | None = ...,
        tools: list[dict[str, Any]] | ToolInput | None = ...,
        truncation: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        finetuned_model: str | ToolInput | None = ...,
        endpoint: str | ToolInput | None = ...,
        deployment_id: str | ToolInput | None = ...,
    ) -> None: ...

class DuplicateListTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        specify_list_size: bool | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        *,
        list_size: int | ToolInput | None = ...,
        input_field: Any = ...,
        list_size_to_match: list[str] | ToolInput | None = ...,
    ) -> None: ...

class EmailNotificationTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        email_body: str | ToolInput | None = ...,
        email_subject: str | ToolInput | None = ...,
        recipient_email: str | ToolInput | None = ...,
        send_as_html: bool | ToolInput | None = ...,
    ) -> None: ...

class EmailValidatorTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        model: str | ToolInput | None = ...,
        *,
        email_to_validate: str | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
    ) -> None: ...

class ExaAiTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        max_characters: int | ToolInput | None = ...,
        num_results: int | ToolInput | None = ...,
        use_highlights: bool | ToolInput | None = ...,
        *,
        end_crawl_date: str | ToolInput | None = ...,
        end_published_date: str | ToolInput | None = ...,
        livecrawl: bool | ToolInput | None = ...,
        loader_type: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        search_type: str | ToolInput | None = ...,
        start_crawl_date: str | ToolInput | None = ...,
        start_published_date: str | ToolInput | None = ...,
    ) -> None: ...

class ExcelCellReaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        cell_index: str | ToolInput | None = ...,
        read_formatting: bool | ToolInput | None = ...,
        selected_file: Any = ...,
        sheet: str | ToolInput | None = ...,
    ) -> None: ...

class ExcelCellWriterTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        set_vertical_alignment: bool | ToolInput | None = ...,
        set_horizontal_alignment: bool | ToolInput | None = ...,
        set_fill_color: bool | ToolInput | None = ...,
        *,
        cell_index: str | ToolInput | None = ...,
        cell_value: str | ToolInput | None = ...,
        selected_file: Any = ...,
        sheet: str | ToolInput | None = ...,
        vertical_alignment: str | ToolInput | None = ...,
        horizontal_alignment: str | ToolInput | None = ...,
        fill_color: str | ToolInput | None = ...,
    ) -> None: ...

class ExcelFileReaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        read_single_sheet: bool | ToolInput | None = ...,
        *,
        read_formatting: bool | ToolInput | None = ...,
        read_formula: bool | ToolInput | None = ...,
        selected_file: Any = ...,
        sheet: str | ToolInput | None = ...,
    ) -> None: ...

class ExcelOperationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class ExcelSheetsReaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        selected_file: Any = ...,
    ) -> None: ...

class ExcelWriterTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        set_vertical_alignment: bool | ToolInput | None = ...,
        set_horizontal_alignment: bool | ToolInput | None = ...,
        set_fill_color: bool | ToolInput | None = ...,
        *,
        cell_start_index: str | ToolInput | None = ...,
        cell_values: list[str] | ToolInput | None = ...,
        selected_file: Any = ...,
        sheet: str | ToolInput | None = ...,
        vertical_alignment: str | ToolInput | None = ...,
        horizontal_alignment: str | ToolInput | None = ...,
        fill_color: str | ToolInput | None = ...,
    ) -> None: ...

class ExtractDataTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        additional_context: str | ToolInput | None = ...,
        fields: list[Any] | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        processed_outputs: dict[str, Any] | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class ExtractToTableTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        add_columns_manually: bool | ToolInput | None = ...,
        additional_context: str | ToolInput | None = ...,
        extract_multiple_rows: bool | ToolInput | None = ...,
        file: Any = ...,
        manual_columns: list[Any] | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        text_for_extraction: str | ToolInput | None = ...,
    ) -> None: ...

class FetchFilingsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        document_group_ids: str | ToolInput | None = ...,
        end_date: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        loader_type: str | ToolInput | None = ...,
        start_date: str | ToolInput | None = ...,
        tickers: str | ToolInput | None = ...,
    ) -> None: ...

class FetchFinancialsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        currency: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        loader_type: str | ToolInput | None = ...,
        metrics: str | ToolInput | None = ...,
        period_type: Any = ...,
        statement_type: Any = ...,
        tickers: str | ToolInput | None = ...,
    ) -> None: ...

class FetchLogosTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        domains: str | ToolInput | None = ...,
        format: Any = ...,
        retina: bool | ToolInput | None = ...,
        size: int | ToolInput | None = ...,
        theme: Any = ...,
        tickers: str | ToolInput | None = ...,
    ) -> None: ...

class FetchRatiosTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        currency: str | ToolInput | None = ...,
        daily: str | ToolInput | None = ...,
        loader_type: str | ToolInput | None = ...,
        period_type: Any = ...,
        ratio_ids: str | ToolInput | None = ...,
        tickers: str | ToolInput | None = ...,
    ) -> None: ...

class FetchSlidesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        limit: int | ToolInput | None = ...,
        *,
        document_group_ids: str | ToolInput | None = ...,
        end_date: str | ToolInput | None = ...,
        loader_type: str | ToolInput | None = ...,
        start_date: str | ToolInput | None = ...,
        tickers: str | ToolInput | None = ...,
    ) -> None: ...

class FetchStockPricesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        end_date: str | ToolInput | None = ...,
        loader_type: str | ToolInput | None = ...,
        start_date: str | ToolInput | None = ...,
        tickers: str | ToolInput | None = ...,
    ) -> None: ...

class FetchTranscriptsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        end_date: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        loader_type: str | ToolInput | None = ...,
        start_date: str | ToolInput | None = ...,
        tickers: str | ToolInput | None = ...,
    ) -> None: ...

class FileTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        selected_option: str | ToolInput | None = ...,
        *,
        file_parser: str | ToolInput | None = ...,
        file: Any = ...,
        file_name: str | ToolInput | None = ...,
    ) -> None: ...

class FileOperationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class FileSaveTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        files: list[Any] | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
    ) -> None: ...

class FileToTextTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        chunk_text: bool | ToolInput | None = ...,
        decrypt: bool | ToolInput | None = ...,
        *,
        file: Any = ...,
        file_parser: str | ToolInput | None = ...,
        chunk_size: int | ToolInput | None = ...,
        chunk_overlap: int | ToolInput | None = ...,
        password: str | ToolInput | None = ...,
    ) -> None: ...

class FilterListTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        filter_mode: str | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        *,
        condition_type: str | ToolInput | None = ...,
        condition_value: str | ToolInput | None = ...,
        output_blank_value: bool | ToolInput | None = ...,
        list_to_filter: list[Any] | ToolInput | None = ...,
        filter_by: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class FindAndReplaceTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        replacements: list[Any] | ToolInput | None = ...,
        text_to_manipulate: str | ToolInput | None = ...,
    ) -> None: ...

class FlattenListTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        type: str | ToolInput | None = ...,
        *,
        list_of_lists: list[list[Any]] | ToolInput | None = ...,
    ) -> None: ...

class GenerateChartTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        chart_type: Any = ...,
        *,
        chart_description: str | ToolInput | None = ...,
        dataframe: Any = ...,
        dataframe_column_names: str | ToolInput | None = ...,
        dataframe_type: Any = ...,
        title: str | ToolInput | None = ...,
        x_axis_field: str | ToolInput | None = ...,
        y_axis_fields: str | ToolInput | None = ...,
        x_axis_label: str | ToolInput | None = ...,
        y_axis_label: str | ToolInput | None = ...,
        aggregation: Any = ...,
        sort_order: Any = ...,
        legend_orientation: Any = ...,
        series_labels: str | ToolInput | None = ...,
        series_icon_urls: str | ToolInput | None = ...,
        number_format: Any = ...,
        currency_symbol: Any = ...,
        unit_suffix: Any = ...,
        default_time_period: Any = ...,
        show_percent_change: str | ToolInput | None = ...,
    ) -> None: ...

class GetListItemTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        type: str | ToolInput | None = ...,
        *,
        index: int | ToolInput | None = ...,
        list: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class GetRunDataTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        session_id: str | ToolInput | None = ...,
    ) -> None: ...

class GetSkillTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        skill: Any = ...,
    ) -> None: ...

class GoogleAlertRssReaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        feed_link: str | ToolInput | None = ...,
        timeframe: str | ToolInput | None = ...,
    ) -> None: ...

class GoogleSearchTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        location: str | ToolInput | None = ...,
        num_results: int | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        search_type: str | ToolInput | None = ...,
    ) -> None: ...

class ImageGenTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        aspect_ratio: str | ToolInput | None = ...,
        image_count: str | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        prompt: str | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        size: str | ToolInput | None = ...,
    ) -> None: ...

class InputTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        input_type: Any = ...,
        use_default_value: bool | ToolInput | None = ...,
        *,
        description: str | ToolInput | None = ...,
        default_value: Any = ...,
        file_parser: str | ToolInput | None = ...,
        dataframe_type: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationAirtableTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        endpoint_0: Any = ...,
        *,
        base_id: str | ToolInput | None = ...,
        table_id: str | ToolInput | None = ...,
        record_id: str | ToolInput | None = ...,
        download_attachments: str | ToolInput | None = ...,
        filter_formula: str | ToolInput | None = ...,
        sort_ascending: str | ToolInput | None = ...,
        sort_descending: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        update_all_matches: bool | ToolInput | None = ...,
        condition: str | ToolInput | None = ...,
        permission_level: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationAlgoliaTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        query: str | ToolInput | None = ...,
        index: str | ToolInput | None = ...,
        return_mode: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationApifyTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        actor_id: str | ToolInput | None = ...,
        input: str | ToolInput | None = ...,
        wait_for_finish: bool | ToolInput | None = ...,
        timeout: int | ToolInput | None = ...,
        memory: int | ToolInput | None = ...,
        build: str | ToolInput | None = ...,
        url: str | ToolInput | None = ...,
        run_id: str | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
        desc: bool | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        task_id: str | ToolInput | None = ...,
        dataset_id: str | ToolInput | None = ...,
        store_id: str | ToolInput | None = ...,
        key: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationApolloTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        company_name: str | ToolInput | None = ...,
        keywords: str | ToolInput | None = ...,
        min_size: str | ToolInput | None = ...,
        max_size: str | ToolInput | None = ...,
        location: str | ToolInput | None = ...,
        num_results: str | ToolInput | None = ...,
        domain: str | ToolInput | None = ...,
        first_name_input: str | ToolInput | None = ...,
        last_name_input: str | ToolInput | None = ...,
        linkedin_url_input: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationAsanaTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        workspace: str | ToolInput | None = ...,
        team: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        notes: str | ToolInput | None = ...,
        public: bool | ToolInput | None = ...,
        project: str | ToolInput | None = ...,
        archived: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        section: str | ToolInput | None = ...,
        assignee: str | ToolInput | None = ...,
        due_on: str | ToolInput | None = ...,
        task: str | ToolInput | None = ...,
        completed_since: Any = ...,
        completed: bool | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        target_workspace: str | ToolInput | None = ...,
        target_project: str | ToolInput | None = ...,
        target_section: str | ToolInput | None = ...,
        parent: str | ToolInput | None = ...,
        comment_gid: str | ToolInput | None = ...,
        tag: str | ToolInput | None = ...,
        user_gid: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationAwsS3Tool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        bucket_name: str | ToolInput | None = ...,
        region: str | ToolInput | None = ...,
        versioning_enabled: bool | ToolInput | None = ...,
        public_read_access: bool | ToolInput | None = ...,
        search_query: str | ToolInput | None = ...,
        max_results: int | ToolInput | None = ...,
        object_key: str | ToolInput | None = ...,
        file: Any = ...,
        content_type: str | ToolInput | None = ...,
        storage_class: str | ToolInput | None = ...,
        metadata: str | ToolInput | None = ...,
        prefix: str | ToolInput | None = ...,
        max_keys: int | ToolInput | None = ...,
        source_key: str | ToolInput | None = ...,
        destination_key: str | ToolInput | None = ...,
        parent_folder_id: str | ToolInput | None = ...,
        folder_name: str | ToolInput | None = ...,
        force_delete: bool | ToolInput | None = ...,
        delimiter: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationBlandAiTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        phone_number: str | ToolInput | None = ...,
        task: str | ToolInput | None = ...,
        first_sentence: str | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        pathway_id: str | ToolInput | None = ...,
        temperature: str | ToolInput | None = ...,
        transfer_number: str | ToolInput | None = ...,
        wait_for_greeting: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationBoxTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        folder_id: str | ToolInput | None = ...,
        files: list[Any] | ToolInput | None = ...,
        file_id: str | ToolInput | None = ...,
        destination_folder_id: str | ToolInput | None = ...,
        new_name: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        file_extensions: list[str] | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        access: str | ToolInput | None = ...,
        can_download: bool | ToolInput | None = ...,
        can_preview: bool | ToolInput | None = ...,
        folder_name: str | ToolInput | None = ...,
        parent_folder_id: str | ToolInput | None = ...,
        recursive: bool | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationClickupTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        team_id: str | ToolInput | None = ...,
        space_id: str | ToolInput | None = ...,
        folder_id: str | ToolInput | None = ...,
        list_id: str | ToolInput | None = ...,
        task_status: str | ToolInput | None = ...,
        task_assignees: str | ToolInput | None = ...,
        task_priority: str | ToolInput | None = ...,
        task_name: str | ToolInput | None = ...,
        task_description: str | ToolInput | None = ...,
        task_tags: str | ToolInput | None = ...,
        task_due_date: Any = ...,
        task_start_date: Any = ...,
        parent_id: str | ToolInput | None = ...,
        time_estimate: int | ToolInput | None = ...,
        notify_all: bool | ToolInput | None = ...,
        markdown_content: str | ToolInput | None = ...,
        task_id: str | ToolInput | None = ...,
        update_task_status: str | ToolInput | None = ...,
        update_task_assignees: str | ToolInput | None = ...,
        remove_all_assignees: bool | ToolInput | None = ...,
        update_task_priority: str | ToolInput | None = ...,
        update_task_name: str | ToolInput | None = ...,
        update_task_description: str | ToolInput | None = ...,
        update_task_due_date: Any = ...,
        update_task_start_date: Any = ...,
        update_task_tags: str | ToolInput | None = ...,
        update_parent_id: str | ToolInput | None = ...,
        update_time_estimate: int | ToolInput | None = ...,
        update_markdown_content: str | ToolInput | None = ...,
        archived: bool | ToolInput | None = ...,
        include_markdown_description: bool | ToolInput | None = ...,
        include_closed: bool | ToolInput | None = ...,
        subtasks: bool | ToolInput | None = ...,
        reverse: bool | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        statuses: str | ToolInput | None = ...,
        assignees: str | ToolInput | None = ...,
        tags: str | ToolInput | None = ...,
        due_date_gt: Any = ...,
        due_date_lt: Any = ...,
        date_updated_gt: Any = ...,
        date_updated_lt: Any = ...,
        custom_fields: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        comment_on: str | ToolInput | None = ...,
        view_id: str | ToolInput | None = ...,
        assign_user: str | ToolInput | None = ...,
        comment_text: str | ToolInput | None = ...,
        comment_id: str | ToolInput | None = ...,
        update_comment_text: str | ToolInput | None = ...,
        update_comment_assignee: str | ToolInput | None = ...,
        update_comment_resolved: bool | ToolInput | None = ...,
        folderless: bool | ToolInput | None = ...,
        list_name: str | ToolInput | None = ...,
        list_content: str | ToolInput | None = ...,
        update_list_name: str | ToolInput | None = ...,
        update_list_content: str | ToolInput | None = ...,
        folder_name: str | ToolInput | None = ...,
        update_folder_name: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        space_name: str | ToolInput | None = ...,
        space_multiple_assignees: bool | ToolInput | None = ...,
        enable_time_tracking: bool | ToolInput | None = ...,
        enable_priority: bool | ToolInput | None = ...,
        enable_tags: bool | ToolInput | None = ...,
        enable_custom_fields: bool | ToolInput | None = ...,
        enable_incomplete_warnings: bool | ToolInput | None = ...,
        enable_dependency_warnings: bool | ToolInput | None = ...,
        checklist_name: str | ToolInput | None = ...,
        checklist_id: str | ToolInput | None = ...,
        update_checklist_name: str | ToolInput | None = ...,
        update_checklist_position: int | ToolInput | None = ...,
        checklist_item_name: str | ToolInput | None = ...,
        checklist_item_assignee: str | ToolInput | None = ...,
        checklist_item_id: str | ToolInput | None = ...,
        update_checklist_item_name: str | ToolInput | None = ...,
        update_checklist_item_parent: str | ToolInput | None = ...,
        update_checklist_item_assignee: str | ToolInput | None = ...,
        update_checklist_item_resolved: bool | ToolInput | None = ...,
        goal_name: str | ToolInput | None = ...,
        goal_description: str | ToolInput | None = ...,
        goal_due_date: str | ToolInput | None = ...,
        goal_color: str | ToolInput | None = ...,
        goal_multiple_owners: bool | ToolInput | None = ...,
        goal_owners: str | ToolInput | None = ...,
        goal_id: str | ToolInput | None = ...,
        include_completed: bool | ToolInput | None = ...,
        update_goal_name: str | ToolInput | None = ...,
        update_goal_description: str | ToolInput | None = ...,
        update_goal_due_date: str | ToolInput | None = ...,
        update_goal_color: str | ToolInput | None = ...,
        update_goal_add_owners: str | ToolInput | None = ...,
        update_goal_remove_owners: str | ToolInput | None = ...,
        key_result_name: str | ToolInput | None = ...,
        key_result_type: str | ToolInput | None = ...,
        key_result_unit: str | ToolInput | None = ...,
        key_result_steps_start: int | ToolInput | None = ...,
        key_result_steps_end: int | ToolInput | None = ...,
        key_result_task_ids: str | ToolInput | None = ...,
        key_result_list_ids: str | ToolInput | None = ...,
        key_result_owners: str | ToolInput | None = ...,
        key_result_id: str | ToolInput | None = ...,
        update_key_result_name: str | ToolInput | None = ...,
        update_key_result_note: str | ToolInput | None = ...,
        update_key_result_steps_current: int | ToolInput | None = ...,
        update_key_result_steps_start: int | ToolInput | None = ...,
        update_key_result_steps_end: int | ToolInput | None = ...,
        update_key_result_unit: str | ToolInput | None = ...,
        start_time: str | ToolInput | None = ...,
        duration_minutes: int | ToolInput | None = ...,
        time_entry_description: str | ToolInput | None = ...,
        time_entry_billable: bool | ToolInput | None = ...,
        time_entry_assignee: str | ToolInput | None = ...,
        time_entry_tags: str | ToolInput | None = ...,
        time_entry_id: str | ToolInput | None = ...,
        get_running: bool | ToolInput | None = ...,
        assignee: str | ToolInput | None = ...,
        include_location_names: bool | ToolInput | None = ...,
        update_time_entry_description: str | ToolInput | None = ...,
        update_time_entry_billable: bool | ToolInput | None = ...,
        update_time_entry_start: str | ToolInput | None = ...,
        update_time_entry_duration_minutes: int | ToolInput | None = ...,
        update_time_entry_task_id: str | ToolInput | None = ...,
        tag_name: str | ToolInput | None = ...,
        tag_foreground_color: str | ToolInput | None = ...,
        tag_background_color: str | ToolInput | None = ...,
        new_tag_name: str | ToolInput | None = ...,
        depends_on_task_id: str | ToolInput | None = ...,
        custom_field_id: str | ToolInput | None = ...,
        custom_field_value: str | ToolInput | None = ...,
        custom_task_ids: bool | ToolInput | None = ...,
        background_color: str | ToolInput | None = ...,
        foreground_color: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationCobaltTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        name: str | ToolInput | None = ...,
        fund_ids: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
        sort: str | ToolInput | None = ...,
        portfolio_id: str | ToolInput | None = ...,
        full_details: bool | ToolInput | None = ...,
        currency: str | ToolInput | None = ...,
        commitment: float | ToolInput | None = ...,
        order_by_field: str | ToolInput | None = ...,
        order_direction: str | ToolInput | None = ...,
        fund_id: str | ToolInput | None = ...,
        fiscal_year_end: Any = ...,
        fiscal_quarter_1: Any = ...,
        fiscal_quarter_2: Any = ...,
        fiscal_quarter_3: Any = ...,
        fiscal_quarter_4: Any = ...,
        company_id: str | ToolInput | None = ...,
        round_name: str | ToolInput | None = ...,
        currency_symbol: str | ToolInput | None = ...,
        acquisition_date: Any = ...,
        exit_date: Any = ...,
        include_external: bool | ToolInput | None = ...,
        deal_id: str | ToolInput | None = ...,
        amount: float | ToolInput | None = ...,
        date: Any = ...,
        aggregation_type: str | ToolInput | None = ...,
        classification_uid: str | ToolInput | None = ...,
        note: str | ToolInput | None = ...,
        investment_currency_amount: float | ToolInput | None = ...,
        entity_scope: str | ToolInput | None = ...,
        entity_id: str | ToolInput | None = ...,
        cashflow_id: str | ToolInput | None = ...,
        cashflow_type: str | ToolInput | None = ...,
        as_of_date: Any = ...,
        start_date: Any = ...,
        entity_ids: str | ToolInput | None = ...,
        metric_set_id: str | ToolInput | None = ...,
        value: float | str | ToolInput | None = ...,
        metric_id: str | ToolInput | None = ...,
        scenario_id: str | ToolInput | None = ...,
        metric_scenario_id: str | ToolInput | None = ...,
        metric_value_id: str | ToolInput | None = ...,
        custom_field_id: str | ToolInput | None = ...,
        custom_field_ids: str | ToolInput | None = ...,
        custom_field_value_id: str | ToolInput | None = ...,
        update_type_id: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        update_type_ids: str | ToolInput | None = ...,
        update_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationCodaTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        doc_id: str | ToolInput | None = ...,
        control_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        formula_id: str | ToolInput | None = ...,
        table_id: str | ToolInput | None = ...,
        cells: str | ToolInput | None = ...,
        key_columns: list[str] | ToolInput | None = ...,
        row_ids: list[str] | ToolInput | None = ...,
        use_column_names: bool | ToolInput | None = ...,
        column_id: str | ToolInput | None = ...,
        row_id: str | ToolInput | None = ...,
        view_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationCopperTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        name: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationDatabricksTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        endpoint_0: Any = ...,
        *,
        warehouse_id: str | ToolInput | None = ...,
        catalog_name: str | ToolInput | None = ...,
        schema_name: str | ToolInput | None = ...,
        table_name: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        wait_timeout: str | ToolInput | None = ...,
        on_wait_timeout: str | ToolInput | None = ...,
        cluster_name: str | ToolInput | None = ...,
        spark_version: str | ToolInput | None = ...,
        node_type_id: str | ToolInput | None = ...,
        num_workers: int | ToolInput | None = ...,
        autotermination_minutes: int | ToolInput | None = ...,
        enable_elastic_disk: bool | ToolInput | None = ...,
        cluster_id: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        job_name: str | ToolInput | None = ...,
        notebook_path: str | ToolInput | None = ...,
        max_concurrent_runs: int | ToolInput | None = ...,
        timeout_seconds: int | ToolInput | None = ...,
        path: str | ToolInput | None = ...,
        file: Any = ...,
        overwrite: bool | ToolInput | None = ...,
        recursive: bool | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationDatadogTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        endpoint: str | ToolInput | None = ...,
        query_params: str | ToolInput | None = ...,
        headers: str | ToolInput | None = ...,
        paginate: bool | ToolInput | None = ...,
        pagination_type: str | ToolInput | None = ...,
        page_size: int | ToolInput | None = ...,
        max_pages: int | ToolInput | None = ...,
        data_path: str | ToolInput | None = ...,
        body: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationDiscordTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        guild_id: str | ToolInput | None = ...,
        channel_name: str | ToolInput | None = ...,
        channel_type: str | ToolInput | None = ...,
        topic: str | ToolInput | None = ...,
        channel_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        message_id: str | ToolInput | None = ...,
        before: str | ToolInput | None = ...,
        after: str | ToolInput | None = ...,
        emoji: str | ToolInput | None = ...,
        message: str | ToolInput | None = ...,
        tts: bool | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
        role_id: str | ToolInput | None = ...,
        reason: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationDocusignTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        email_subject: str | ToolInput | None = ...,
        email_blurb: str | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        signer_emails: str | ToolInput | None = ...,
        signer_names: str | ToolInput | None = ...,
        documents: list[Any] | ToolInput | None = ...,
        add_signature: bool | ToolInput | None = ...,
        signature_position: str | ToolInput | None = ...,
        signature_anchor: str | ToolInput | None = ...,
        add_date_signed: bool | ToolInput | None = ...,
        cc_emails: str | ToolInput | None = ...,
        cc_names: str | ToolInput | None = ...,
        template_id: str | ToolInput | None = ...,
        template_role_name: str | ToolInput | None = ...,
        expire_enabled: bool | ToolInput | None = ...,
        expire_after: int | ToolInput | None = ...,
        expire_warn: int | ToolInput | None = ...,
        reminder_enabled: bool | ToolInput | None = ...,
        reminder_delay: int | ToolInput | None = ...,
        reminder_frequency: int | ToolInput | None = ...,
        signer_can_sign_on_mobile: bool | ToolInput | None = ...,
        envelope_id: str | ToolInput | None = ...,
        include: str | ToolInput | None = ...,
        search_text: str | ToolInput | None = ...,
        order: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        folder_ids: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        add_documents: list[Any] | ToolInput | None = ...,
        add_signer_email: str | ToolInput | None = ...,
        add_signer_name: str | ToolInput | None = ...,
        add_cc_email: str | ToolInput | None = ...,
        add_cc_name: str | ToolInput | None = ...,
        voided_reason: str | ToolInput | None = ...,
        resend_envelope: bool | ToolInput | None = ...,
        purge_state: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationDropboxTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        folder_id: str | ToolInput | None = ...,
        file: Any = ...,
        read_file_id: str | ToolInput | None = ...,
        file_path: str | ToolInput | None = ...,
        delete_file_id: str | ToolInput | None = ...,
        source_file_id: str | ToolInput | None = ...,
        destination_folder_id: str | ToolInput | None = ...,
        new_file_name: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        include_subfolders: bool | ToolInput | None = ...,
        include_deleted: bool | ToolInput | None = ...,
        folder_name: str | ToolInput | None = ...,
        parent_folder_id: str | ToolInput | None = ...,
        recursive: bool | ToolInput | None = ...,
        source_folder_id: str | ToolInput | None = ...,
        new_folder_name: str | ToolInput | None = ...,
        search_query: str | ToolInput | None = ...,
        search_folder_id: str | ToolInput | None = ...,
        search_limit: int | ToolInput | None = ...,
        file_types: str | ToolInput | None = ...,
        include_shared_folders: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationElasticsearchTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        index: str | ToolInput | None = ...,
        document_id: str | ToolInput | None = ...,
        document: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        upsert: bool | ToolInput | None = ...,
        mappings: str | ToolInput | None = ...,
        settings: str | ToolInput | None = ...,
        pattern: str | ToolInput | None = ...,
        include_system: bool | ToolInput | None = ...,
        confirm_delete: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationFigmaTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        file_key: str | ToolInput | None = ...,
        version: str | ToolInput | None = ...,
        ids: str | ToolInput | None = ...,
        depth: int | ToolInput | None = ...,
        geometry: str | ToolInput | None = ...,
        plugin_data: str | ToolInput | None = ...,
        branch_data: bool | ToolInput | None = ...,
        node_ids: str | ToolInput | None = ...,
        format: str | ToolInput | None = ...,
        scale: float | ToolInput | None = ...,
        download_images: bool | ToolInput | None = ...,
        svg_include_id: bool | ToolInput | None = ...,
        svg_simplify_stroke: bool | ToolInput | None = ...,
        svg_outline_text: bool | ToolInput | None = ...,
        contents_only: bool | ToolInput | None = ...,
        use_absolute_bounds: bool | ToolInput | None = ...,
        message: str | ToolInput | None = ...,
        comment_id: str | ToolInput | None = ...,
        node_id: str | ToolInput | None = ...,
        x: float | ToolInput | None = ...,
        y: float | ToolInput | None = ...,
        as_md: bool | ToolInput | None = ...,
        emoji: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationFredTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        *,
        category_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        order_by: str | ToolInput | None = ...,
        sort_order: str | ToolInput | None = ...,
        filter_variable: str | ToolInput | None = ...,
        filter_value: str | ToolInput | None = ...,
        tag_names: str | ToolInput | None = ...,
        exclude_tag_names: str | ToolInput | None = ...,
        tag_group_id: str | ToolInput | None = ...,
        search_text: str | ToolInput | None = ...,
        release_id: str | ToolInput | None = ...,
        include_release_dates_with_no_data: bool | ToolInput | None = ...,
        element_id: int | ToolInput | None = ...,
        include_observation_values: bool | ToolInput | None = ...,
        observation_date: str | ToolInput | None = ...,
        series_id: str | ToolInput | None = ...,
        observation_start: str | ToolInput | None = ...,
        observation_end: str | ToolInput | None = ...,
        units: str | ToolInput | None = ...,
        frequency: str | ToolInput | None = ...,
        aggregation_method: str | ToolInput | None = ...,
        output_type: str | ToolInput | None = ...,
        vintage_dates: str | ToolInput | None = ...,
        search_type: str | ToolInput | None = ...,
        series_search_text: str | ToolInput | None = ...,
        tag_search_text: str | ToolInput | None = ...,
        start_time: str | ToolInput | None = ...,
        end_time: str | ToolInput | None = ...,
        source_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGithubTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        repository_name: str | ToolInput | None = ...,
        repository_description: str | ToolInput | None = ...,
        is_private: bool | ToolInput | None = ...,
        auto_init: bool | ToolInput | None = ...,
        gitignore_template: str | ToolInput | None = ...,
        license_template: str | ToolInput | None = ...,
        homepage: str | ToolInput | None = ...,
        owner: str | ToolInput | None = ...,
        update_repository_name: str | ToolInput | None = ...,
        update_repository_description: str | ToolInput | None = ...,
        update_homepage: str | ToolInput | None = ...,
        update_is_private: bool | ToolInput | None = ...,
        update_has_issues: bool | ToolInput | None = ...,
        update_has_projects: bool | ToolInput | None = ...,
        update_has_wiki: bool | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        sort: str | ToolInput | None = ...,
        direction: str | ToolInput | None = ...,
        visibility: str | ToolInput | None = ...,
        affiliation: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        issue_title: str | ToolInput | None = ...,
        issue_body: str | ToolInput | None = ...,
        assignees: str | ToolInput | None = ...,
        milestone: int | str | ToolInput | None = ...,
        labels: str | ToolInput | None = ...,
        issue_number: int | ToolInput | None = ...,
        update_issue_title: str | ToolInput | None = ...,
        update_issue_body: str | ToolInput | None = ...,
        update_issue_state: str | ToolInput | None = ...,
        update_assignees: str | ToolInput | None = ...,
        update_milestone: int | ToolInput | None = ...,
        update_labels: str | ToolInput | None = ...,
        state: str | ToolInput | None = ...,
        assignee: str | ToolInput | None = ...,
        creator: str | ToolInput | None = ...,
        mentioned: str | ToolInput | None = ...,
        pull_request_title: str | ToolInput | None = ...,
        head: str | ToolInput | None = ...,
        base: str | ToolInput | None = ...,
        pull_request_body: str | ToolInput | None = ...,
        draft: bool | ToolInput | None = ...,
        maintainer_can_modify: bool | ToolInput | None = ...,
        pull_request_number: int | ToolInput | None = ...,
        update_pull_request_title: str | ToolInput | None = ...,
        update_pull_request_body: str | ToolInput | None = ...,
        update_pull_request_state: str | ToolInput | None = ...,
        update_base: str | ToolInput | None = ...,
        update_maintainer_can_modify: bool | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        commit_title: str | ToolInput | None = ...,
        commit_message: str | ToolInput | None = ...,
        sha: str | ToolInput | None = ...,
        merge_method: str | ToolInput | None = ...,
        comment_body: str | ToolInput | None = ...,
        comment_id: int | ToolInput | None = ...,
        update_comment_body: str | ToolInput | None = ...,
        tag_name: str | ToolInput | None = ...,
        release_name: str | ToolInput | None = ...,
        release_body: str | ToolInput | None = ...,
        target_commitish: str | ToolInput | None = ...,
        prerelease: bool | ToolInput | None = ...,
        generate_release_notes: bool | ToolInput | None = ...,
        release_id: int | ToolInput | None = ...,
        update_tag_name: str | ToolInput | None = ...,
        update_release_name: str | ToolInput | None = ...,
        update_release_body: str | ToolInput | None = ...,
        update_target_commitish: str | ToolInput | None = ...,
        update_draft: bool | ToolInput | None = ...,
        update_prerelease: bool | ToolInput | None = ...,
        file_path: str | ToolInput | None = ...,
        file_content: str | ToolInput | None = ...,
        branch_name: str | ToolInput | None = ...,
        committer_name: str | ToolInput | None = ...,
        committer_email: str | ToolInput | None = ...,
        author_name: str | ToolInput | None = ...,
        author_email: str | ToolInput | None = ...,
        update_file_content: str | ToolInput | None = ...,
        update_commit_message: str | ToolInput | None = ...,
        update_branch_name: str | ToolInput | None = ...,
        file_sha: str | ToolInput | None = ...,
        update_committer_name: str | ToolInput | None = ...,
        update_committer_email: str | ToolInput | None = ...,
        update_author_name: str | ToolInput | None = ...,
        update_author_email: str | ToolInput | None = ...,
        ref: str | ToolInput | None = ...,
        delete_commit_message: str | ToolInput | None = ...,
        delete_branch_name: str | ToolInput | None = ...,
        delete_file_sha: str | ToolInput | None = ...,
        delete_committer_name: str | ToolInput | None = ...,
        delete_committer_email: str | ToolInput | None = ...,
        delete_author_name: str | ToolInput | None = ...,
        delete_author_email: str | ToolInput | None = ...,
        source_branch: str | ToolInput | None = ...,
        protected: bool | ToolInput | None = ...,
        username: str | ToolInput | None = ...,
        organization: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        role: str | ToolInput | None = ...,
        webhook_name: str | ToolInput | None = ...,
        webhook_url: str | ToolInput | None = ...,
        webhook_events: str | ToolInput | None = ...,
        webhook_secret: str | ToolInput | None = ...,
        webhook_active: bool | ToolInput | None = ...,
        content_type: str | ToolInput | None = ...,
        insecure_ssl: bool | ToolInput | None = ...,
        webhook_id: int | ToolInput | None = ...,
        update_webhook_url: str | ToolInput | None = ...,
        update_webhook_events: str | ToolInput | None = ...,
        update_webhook_secret: str | ToolInput | None = ...,
        update_webhook_active: bool | ToolInput | None = ...,
        update_content_type: str | ToolInput | None = ...,
        update_insecure_ssl: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGitlabTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        *,
        repository_name: str | ToolInput | None = ...,
        path: str | ToolInput | None = ...,
        namespace_id: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        visibility: str | ToolInput | None = ...,
        project_owner: str | ToolInput | None = ...,
        project_name: str | ToolInput | None = ...,
        file_path: str | ToolInput | None = ...,
        file: Any = ...,
        commit_message: str | ToolInput | None = ...,
        branch: str | ToolInput | None = ...,
        committer_name: str | ToolInput | None = ...,
        committer_email: str | ToolInput | None = ...,
        author_name: str | ToolInput | None = ...,
        author_email: str | ToolInput | None = ...,
        encoding: str | ToolInput | None = ...,
        ref: str | ToolInput | None = ...,
        list_file_path: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        page: int | ToolInput | None = ...,
        start_branch: str | ToolInput | None = ...,
        tag_name: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        project_id: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        sort: str | ToolInput | None = ...,
        release_project_id: str | ToolInput | None = ...,
        milestones: str | ToolInput | None = ...,
        released_at: Any = ...,
        title: str | ToolInput | None = ...,
        due_date: Any = ...,
        labels: str | ToolInput | None = ...,
        assignee_ids: str | ToolInput | None = ...,
        issue_number: str | ToolInput | None = ...,
        body: str | ToolInput | None = ...,
        issue_assignee_username: str | ToolInput | None = ...,
        creator_username: str | ToolInput | None = ...,
        search: str | ToolInput | None = ...,
        updated_after: Any = ...,
        state: str | ToolInput | None = ...,
        issue_body: str | ToolInput | None = ...,
        lock_reason: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGmailTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        recipients: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        body: str | ToolInput | None = ...,
        format: str | ToolInput | None = ...,
        cc: str | ToolInput | None = ...,
        bcc: str | ToolInput | None = ...,
        sender_name: str | ToolInput | None = ...,
        reply_to: str | ToolInput | None = ...,
        reply_to_sender_only: bool | ToolInput | None = ...,
        attachments: list[Any] | ToolInput | None = ...,
        message_id: str | ToolInput | None = ...,
        email_id: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        to: str | ToolInput | None = ...,
        has_attachment: str | ToolInput | None = ...,
        has_images: str | ToolInput | None = ...,
        has_links: str | ToolInput | None = ...,
        has_starred: str | ToolInput | None = ...,
        has_unread: str | ToolInput | None = ...,
        label: str | ToolInput | None = ...,
        has: str | ToolInput | None = ...,
        filename: str | ToolInput | None = ...,
        newer_than: str | ToolInput | None = ...,
        older_than: str | ToolInput | None = ...,
        list: str | ToolInput | None = ...,
        category: str | ToolInput | None = ...,
        larger: str | ToolInput | None = ...,
        smaller: str | ToolInput | None = ...,
        custom_params: str | ToolInput | None = ...,
        projection: str | ToolInput | None = ...,
        page_token: str | ToolInput | None = ...,
        label_ids: str | ToolInput | None = ...,
        has_user_labels: str | ToolInput | None = ...,
        include_spam_trash: bool | str | ToolInput | None = ...,
        msg_id: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        draft_id: str | ToolInput | None = ...,
        detailed_view: bool | ToolInput | None = ...,
        draft_message_id: str | ToolInput | None = ...,
        thread_id: str | ToolInput | None = ...,
        has_important: str | ToolInput | None = ...,
        has_chat: str | ToolInput | None = ...,
        read_status: str | ToolInput | None = ...,
        received_after: Any = ...,
        received_before: Any = ...,
        name: str | ToolInput | None = ...,
        label_list_visibility: str | ToolInput | None = ...,
        message_list_visibility: str | ToolInput | None = ...,
        label_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGohighlevelTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        first_name: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        value: str | ToolInput | None = ...,
        pipeline_name: str | ToolInput | None = ...,
        contact_name: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleAdsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        customer_id: str | ToolInput | None = ...,
        campaign_status: str | ToolInput | None = ...,
        campaign_type: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        campaign_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleAnalyticsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        property_id: str | ToolInput | None = ...,
        metrics: str | ToolInput | None = ...,
        dimensions: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        simple: bool | ToolInput | None = ...,
        keep_empty_rows: bool | ToolInput | None = ...,
        currency_code: str | ToolInput | None = ...,
        return_property_quota: bool | ToolInput | None = ...,
        metric_aggregations: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
    ) -> None: ...

class IntegrationGoogleBigQueryTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        endpoint_0: Any = ...,
        *,
        project_id: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        use_legacy_sql: bool | ToolInput | None = ...,
        dry_run: bool | ToolInput | None = ...,
        timeout_ms: int | ToolInput | None = ...,
        dataset_id: str | ToolInput | None = ...,
        bigquery_table_id: str | ToolInput | None = ...,
        ignore_unknown_values: bool | ToolInput | None = ...,
        skip_invalid_rows: bool | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationGoogleCalendarTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        calendar: str | ToolInput | None = ...,
        event_name: str | ToolInput | None = ...,
        all_day_event: bool | ToolInput | None = ...,
        start_datetime: Any = ...,
        duration: int | ToolInput | None = ...,
        attendees: str | ToolInput | None = ...,
        location: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        repeat_frequency: str | ToolInput | None = ...,
        repeat_how_many_times: int | ToolInput | None = ...,
        repeat_until: Any = ...,
        rrule: str | ToolInput | None = ...,
        start_date_and_time: Any = ...,
        end_date_and_time: Any = ...,
        slot_duration: int | ToolInput | None = ...,
        timezone: Any = ...,
        event_id: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        update_summary: str | ToolInput | None = ...,
        update_description: str | ToolInput | None = ...,
        update_location: str | ToolInput | None = ...,
        start_time: Any = ...,
        end_time: Any = ...,
        update_attendees: str | ToolInput | None = ...,
        update_visibility: str | ToolInput | None = ...,
        update_color_id: str | ToolInput | None = ...,
        update_guests_can_invite_others: bool | ToolInput | None = ...,
        update_guests_can_modify: bool | ToolInput | None = ...,
        update_guests_can_see_other_guests: bool | ToolInput | None = ...,
        update_show_me_as: str | ToolInput | None = ...,
        update_max_attendees: int | ToolInput | None = ...,
        send_updates: str | ToolInput | None = ...,
        send_notifications: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleChatTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        space_id: str | ToolInput | None = ...,
        membership_id: str | ToolInput | None = ...,
        page_size: str | ToolInput | None = ...,
        message_text: str | ToolInput | None = ...,
        thread_key: str | ToolInput | None = ...,
        message_id: str | ToolInput | None = ...,
        update_mask: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleCloudFirestoreTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        project_id: str | ToolInput | None = ...,
        database: str | ToolInput | None = ...,
        collection: str | ToolInput | None = ...,
        document_id: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        update_key: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleCloudStorageTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        project_id: str | ToolInput | None = ...,
        bucket_name: str | ToolInput | None = ...,
        location: str | ToolInput | None = ...,
        storage_class: str | ToolInput | None = ...,
        uniform_bucket_level_access: bool | ToolInput | None = ...,
        cors: str | ToolInput | None = ...,
        lifecycle: str | ToolInput | None = ...,
        versioning: bool | ToolInput | None = ...,
        projection: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        prefix: str | ToolInput | None = ...,
        labels: str | ToolInput | None = ...,
        website: str | ToolInput | None = ...,
        logging: str | ToolInput | None = ...,
        encryption: str | ToolInput | None = ...,
        object_name: str | ToolInput | None = ...,
        file: Any = ...,
        cache_control: str | ToolInput | None = ...,
        content_disposition: str | ToolInput | None = ...,
        content_encoding: str | ToolInput | None = ...,
        content_language: str | ToolInput | None = ...,
        metadata: str | ToolInput | None = ...,
        download_content: bool | ToolInput | None = ...,
        generation: int | ToolInput | None = ...,
        alt: str | ToolInput | None = ...,
        encryption_key: str | ToolInput | None = ...,
        encryption_key_sha: str | ToolInput | None = ...,
        delimiter: str | ToolInput | None = ...,
        include_versions: bool | ToolInput | None = ...,
        content_type: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleContactsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        given_name: str | ToolInput | None = ...,
        family_name: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        organization: str | ToolInput | None = ...,
        contact_id: str | ToolInput | None = ...,
        limit: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleDocsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        file_id: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        doc_url: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        content: str | ToolInput | None = ...,
        operation: str | ToolInput | None = ...,
        folder_id: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        shared_with_me: bool | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
    ) -> None: ...

class IntegrationGoogleDriveTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        content: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        parent_folder_id: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        folder_id: str | ToolInput | None = ...,
        file: Any = ...,
        file_id: str | ToolInput | None = ...,
        drive_file_url: str | ToolInput | None = ...,
        recursive: bool | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        corpora: str | ToolInput | None = ...,
        drive_id: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        include_items_from_all_drives: bool | ToolInput | None = ...,
        include_labels: str | ToolInput | None = ...,
        spaces: str | ToolInput | None = ...,
        supports_all_drives: bool | ToolInput | None = ...,
        include_permissions_for_view: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        same_folder: bool | ToolInput | None = ...,
        copy_requires_writer_permission: bool | ToolInput | None = ...,
        role: str | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        email_address: str | ToolInput | None = ...,
        domain: str | ToolInput | None = ...,
        send_notification_email: bool | ToolInput | None = ...,
        email_message: str | ToolInput | None = ...,
        file_name: str | ToolInput | None = ...,
        starred: bool | ToolInput | None = ...,
        trashed: bool | ToolInput | None = ...,
        change_file_content: bool | ToolInput | None = ...,
        file_data: str | ToolInput | None = ...,
        content_type: str | ToolInput | None = ...,
        delete_permanently: bool | ToolInput | None = ...,
        folder_color: str | ToolInput | None = ...,
        color_rgb: str | ToolInput | None = ...,
        hidden: bool | ToolInput | None = ...,
        use_domain_admin_access: bool | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleFirebaseRealtimeDbTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        database_url: str | ToolInput | None = ...,
        path: str | ToolInput | None = ...,
        data: str | ToolInput | None = ...,
        update_data: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGooglePerspectiveTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        comment: str | ToolInput | None = ...,
        requested_attributes: str | ToolInput | None = ...,
        language: str | ToolInput | None = ...,
        score_threshold: float | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleSheetsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        add_columns_manually: bool | ToolInput | None = ...,
        endpoint_0: Any = ...,
        endpoint_1: Any = ...,
        *,
        spreadsheet_id: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        hidden: bool | ToolInput | None = ...,
        right_to_left: bool | ToolInput | None = ...,
        sheet_id_number: int | ToolInput | None = ...,
        index: int | ToolInput | None = ...,
        tab_color: str | ToolInput | None = ...,
        sheet_id: str | ToolInput | None = ...,
        sheet_url: str | ToolInput | None = ...,
        range: str | ToolInput | None = ...,
        combine_filters: str | ToolInput | None = ...,
        return_first_match: bool | ToolInput | None = ...,
        condition: str | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        text_for_extraction: str | ToolInput | None = ...,
        extract_multiple_rows: bool | ToolInput | None = ...,
        additional_context: str | ToolInput | None = ...,
        manual_columns: list[Any] | ToolInput | None = ...,
        start_row: int | ToolInput | None = ...,
        num_rows: int | ToolInput | None = ...,
        start_column: str | ToolInput | None = ...,
        num_columns: int | ToolInput | None = ...,
        keep_first_row: bool | ToolInput | None = ...,
        locale: str | ToolInput | None = ...,
        auto_recalc: str | ToolInput | None = ...,
        sheets: str | ToolInput | None = ...,
        spreadsheet_url: str | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationGoogleSlidesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        title: str | ToolInput | None = ...,
        presentation_id: str | ToolInput | None = ...,
        page_object_id: str | ToolInput | None = ...,
        thumbnail_size: str | ToolInput | None = ...,
        mime_type: str | ToolInput | None = ...,
        contains_text: str | ToolInput | None = ...,
        replace_text: str | ToolInput | None = ...,
        match_case: bool | ToolInput | None = ...,
        revision_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleTasksTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        task_list_id: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        notes: str | ToolInput | None = ...,
        due: Any = ...,
        task_id: str | ToolInput | None = ...,
        completed_min: Any = ...,
        completed_max: Any = ...,
        due_min: Any = ...,
        due_max: Any = ...,
        show_completed: bool | ToolInput | None = ...,
        show_deleted: bool | ToolInput | None = ...,
        show_hidden: bool | ToolInput | None = ...,
        updated_min: Any = ...,
        max_results: int | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationGoogleWorkspaceAdminTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        device_id: str | ToolInput | None = ...,
        projection: str | ToolInput | None = ...,
        max_results: int | ToolInput | None = ...,
        include_child_orgunits: bool | ToolInput | None = ...,
        org_unit_path: str | ToolInput | None = ...,
        serial_number: str | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        user: str | ToolInput | None = ...,
        location: str | ToolInput | None = ...,
        notes: str | ToolInput | None = ...,
        asset_id: str | ToolInput | None = ...,
        wifi_mac: str | ToolInput | None = ...,
        ethernet_mac: str | ToolInput | None = ...,
        register_date: str | ToolInput | None = ...,
        sync_date: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        sort_order: str | ToolInput | None = ...,
        annotated_user: str | ToolInput | None = ...,
        annotated_location: str | ToolInput | None = ...,
        annotated_asset_id: str | ToolInput | None = ...,
        device_action: str | ToolInput | None = ...,
        deprovision_reason: str | ToolInput | None = ...,
        primary_email: str | ToolInput | None = ...,
        first_name: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        password: str | ToolInput | None = ...,
        change_password_at_next_login: bool | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
        domain: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        email_prefix: str | ToolInput | None = ...,
        given_name: str | ToolInput | None = ...,
        family_name: str | ToolInput | None = ...,
        is_admin: bool | ToolInput | None = ...,
        is_delegated_admin: bool | ToolInput | None = ...,
        is_suspended: bool | ToolInput | None = ...,
        is_archived: bool | ToolInput | None = ...,
        show_deleted: bool | ToolInput | None = ...,
        view_type: str | ToolInput | None = ...,
        suspended: bool | ToolInput | None = ...,
        group_id: str | ToolInput | None = ...,
        role: str | ToolInput | None = ...,
        group_email: str | ToolInput | None = ...,
        group_name: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        user_key: str | ToolInput | None = ...,
        search_group_name: str | ToolInput | None = ...,
        search_group_email: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationHubspotTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        create_email: str | ToolInput | None = ...,
        first_name: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        company: str | ToolInput | None = ...,
        job_title: str | ToolInput | None = ...,
        phone_number: str | ToolInput | None = ...,
        mobile_phone_number: str | ToolInput | None = ...,
        street_address: str | ToolInput | None = ...,
        city: str | ToolInput | None = ...,
        state_region: str | ToolInput | None = ...,
        postal_code: str | ToolInput | None = ...,
        country: str | ToolInput | None = ...,
        website_url: str | ToolInput | None = ...,
        associated_company_id: str | ToolInput | None = ...,
        custom_properties: str | ToolInput | None = ...,
        update_contact_id: str | ToolInput | None = ...,
        update_email: str | ToolInput | None = ...,
        update_first_name: str | ToolInput | None = ...,
        update_last_name: str | ToolInput | None = ...,
        update_company: str | ToolInput | None = ...,
        update_job_title: str | ToolInput | None = ...,
        update_phone_number: str | ToolInput | None = ...,
        update_mobile_phone_number: str | ToolInput | None = ...,
        update_street_address: str | ToolInput | None = ...,
        update_city: str | ToolInput | None = ...,
        update_state_region: str | ToolInput | None = ...,
        update_postal_code: str | ToolInput | None = ...,
        update_country: str | ToolInput | None = ...,
        update_website_url: str | ToolInput | None = ...,
        update_custom_properties: str | ToolInput | None = ...,
        delete_contact_id: str | ToolInput | None = ...,
        read_contact_id: str | ToolInput | None = ...,
        properties: str | ToolInput | None = ...,
        show_list_memberships: bool | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        company_name: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        state: str | ToolInput | None = ...,
        website: str | ToolInput | None = ...,
        lifecycle_stage: str | ToolInput | None = ...,
        lead_status: str | ToolInput | None = ...,
        hs_lead_status: str | ToolInput | None = ...,
        created_date: str | ToolInput | None = ...,
        last_modified_date: str | ToolInput | None = ...,
        hs_analytics_source: str | ToolInput | None = ...,
        hs_latest_source: str | ToolInput | None = ...,
        hubspot_owner_id: str | ToolInput | None = ...,
        sort_by: str | ToolInput | None = ...,
        sort_order: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        create_company_name: str | ToolInput | None = ...,
        about_us: str | ToolInput | None = ...,
        annual_revenue: int | str | ToolInput | None = ...,
        company_domain_name: str | ToolInput | None = ...,
        company_owner: str | ToolInput | None = ...,
        country_region: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        industry: str | ToolInput | None = ...,
        lifecycle: str | ToolInput | None = ...,
        number_of_employees: int | str | ToolInput | None = ...,
        update_company_id: str | ToolInput | None = ...,
        update_company_name: str | ToolInput | None = ...,
        update_about_us: str | ToolInput | None = ...,
        update_annual_revenue: int | ToolInput | None = ...,
        update_company_domain_name: str | ToolInput | None = ...,
        update_company_owner: str | ToolInput | None = ...,
        update_country_region: str | ToolInput | None = ...,
        update_description: str | ToolInput | None = ...,
        update_industry: str | ToolInput | None = ...,
        update_lifecycle: str | ToolInput | None = ...,
        update_lead_status: str | ToolInput | None = ...,
        update_number_of_employees: int | ToolInput | None = ...,
        delete_company_id: str | ToolInput | None = ...,
        read_company_id: str | ToolInput | None = ...,
        include_merge_audits: bool | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        domain: str | ToolInput | None = ...,
        zip: str | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        hs_analytics_source_data_1: str | ToolInput | None = ...,
        hs_analytics_source_data_2: str | ToolInput | None = ...,
        web_technologies: str | ToolInput | None = ...,
        founded_year: str | ToolInput | None = ...,
        is_public: bool | ToolInput | None = ...,
        create_deal_stage: str | ToolInput | None = ...,
        deal_name: str | ToolInput | None = ...,
        amount: int | str | ToolInput | None = ...,
        close_date: str | ToolInput | None = ...,
        deal_owner: str | ToolInput | None = ...,
        deal_type: str | ToolInput | None = ...,
        pipeline: str | ToolInput | None = ...,
        associated_company: str | ToolInput | None = ...,
        associated_vids: str | ToolInput | None = ...,
        update_deal_id: str | ToolInput | None = ...,
        update_deal_stage: str | ToolInput | None = ...,
        update_deal_name: str | ToolInput | None = ...,
        update_amount: int | ToolInput | None = ...,
        update_close_date: str | ToolInput | None = ...,
        update_deal_owner: str | ToolInput | None = ...,
        update_deal_type: str | ToolInput | None = ...,
        update_pipeline: str | ToolInput | None = ...,
        delete_deal_id: str | ToolInput | None = ...,
        read_deal_id: str | ToolInput | None = ...,
        include_property_versions: bool | ToolInput | None = ...,
        deal_stage: str | ToolInput | None = ...,
        deal_currency_code: str | ToolInput | None = ...,
        hs_deal_stage_probability: str | ToolInput | None = ...,
        num_associated_contacts: str | ToolInput | None = ...,
        num_contacted_notes: str | ToolInput | None = ...,
        hs_date_entered_closed_won: str | ToolInput | None = ...,
        hs_date_entered_closed_lost: str | ToolInput | None = ...,
        hs_forecast_amount: str | ToolInput | None = ...,
        hs_is_closed: bool | ToolInput | None = ...,
        hs_is_deal_split: bool | ToolInput | None = ...,
        create_ticket_pipeline_id: str | ToolInput | None = ...,
        create_ticket_stage_id: str | ToolInput | None = ...,
        create_ticket_name: str | ToolInput | None = ...,
        category: str | ToolInput | None = ...,
        priority: str | ToolInput | None = ...,
        ticket_owner_id: str | ToolInput | None = ...,
        associated_company_ids: str | ToolInput | None = ...,
        associated_contact_ids: str | ToolInput | None = ...,
        update_ticket_id: str | ToolInput | None = ...,
        update_ticket_name: str | ToolInput | None = ...,
        update_category: str | ToolInput | None = ...,
        update_priority: str | ToolInput | None = ...,
        update_stage_id: str | ToolInput | None = ...,
        update_ticket_owner_id: str | ToolInput | None = ...,
        delete_ticket_id: str | ToolInput | None = ...,
        read_ticket_id: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        hs_ticket_category: str | ToolInput | None = ...,
        hs_ticket_priority: str | ToolInput | None = ...,
        hs_pipeline_stage: str | ToolInput | None = ...,
        hs_pipeline: str | ToolInput | None = ...,
        hs_resolution: str | ToolInput | None = ...,
        source_type: str | ToolInput | None = ...,
        closed_date: str | ToolInput | None = ...,
        first_agent_reply_date: str | ToolInput | None = ...,
        hs_time_to_close: str | ToolInput | None = ...,
        hs_time_to_first_agent_reply: str | ToolInput | None = ...,
        hs_num_times_contacted: str | ToolInput | None = ...,
        tags: str | ToolInput | None = ...,
        create_engagement_type: str | ToolInput | None = ...,
        metadata: str | ToolInput | None = ...,
        company_ids: str | ToolInput | None = ...,
        contact_ids: str | ToolInput | None = ...,
        deal_ids: str | ToolInput | None = ...,
        owner_id: str | ToolInput | None = ...,
        timestamp: str | ToolInput | None = ...,
        delete_engagement_id: str | ToolInput | None = ...,
        read_engagement_id: str | ToolInput | None = ...,
        engagement_type: str | ToolInput | None = ...,
        contact_id: str | ToolInput | None = ...,
        company_id: str | ToolInput | None = ...,
        deal_id: str | ToolInput | None = ...,
        hs_communication_channel_type: str | ToolInput | None = ...,
        hs_communication_logged_from: str | ToolInput | None = ...,
        hs_activity_type: str | ToolInput | None = ...,
        list_id: str | ToolInput | None = ...,
        by: str | ToolInput | None = ...,
        emails: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationIntercomTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        company_id: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        website: str | ToolInput | None = ...,
        industry: str | ToolInput | None = ...,
        size: int | ToolInput | None = ...,
        plan: str | ToolInput | None = ...,
        monthly_spend: int | ToolInput | None = ...,
        custom_attributes: str | ToolInput | None = ...,
        select_by: str | ToolInput | None = ...,
        value: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        segment_id: str | ToolInput | None = ...,
        tag_id: str | ToolInput | None = ...,
        list_by: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        companies: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        avatar: str | ToolInput | None = ...,
        unsubscribed_from_emails: bool | ToolInput | None = ...,
        update_last_request_at: bool | ToolInput | None = ...,
        utm_source: str | ToolInput | None = ...,
        utm_medium: str | ToolInput | None = ...,
        utm_campaign: str | ToolInput | None = ...,
        utm_term: str | ToolInput | None = ...,
        utm_content: str | ToolInput | None = ...,
        update_by: str | ToolInput | None = ...,
        delete_by: str | ToolInput | None = ...,
        identifier_type: str | ToolInput | None = ...,
        id_value: str | ToolInput | None = ...,
        session_count: int | ToolInput | None = ...,
    ) -> None: ...

class IntegrationJiraTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        site: str | ToolInput | None = ...,
        project: str | ToolInput | None = ...,
        issue_key: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        parent_issue_key: str | ToolInput | None = ...,
        summary: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        issue_type: str | ToolInput | None = ...,
        assignee_name: str | ToolInput | None = ...,
        update_summary: str | ToolInput | None = ...,
        update_description: str | ToolInput | None = ...,
        update_issue_type: str | ToolInput | None = ...,
        update_assignee_name: str | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        reporter_name: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        issue_summary: str | ToolInput | None = ...,
        summary_exact: str | ToolInput | None = ...,
        description_exact: str | ToolInput | None = ...,
        comment: str | ToolInput | None = ...,
        comment_exact: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        text_exact: str | ToolInput | None = ...,
        labels: str | ToolInput | None = ...,
        fix_version: str | ToolInput | None = ...,
        affected_version: str | ToolInput | None = ...,
        component: str | ToolInput | None = ...,
        resolution: str | ToolInput | None = ...,
        created: str | ToolInput | None = ...,
        updated: str | ToolInput | None = ...,
        resolved: str | ToolInput | None = ...,
        due: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        delete_subtasks: bool | ToolInput | None = ...,
        text_body: str | ToolInput | None = ...,
        html_body: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        notify_reporter: bool | ToolInput | None = ...,
        notify_assignee: bool | ToolInput | None = ...,
        notify_watchers: bool | ToolInput | None = ...,
        notify_voters: bool | ToolInput | None = ...,
        user_account_ids: str | ToolInput | None = ...,
        group_names: str | ToolInput | None = ...,
        transition_id: str | ToolInput | None = ...,
        expand: str | ToolInput | None = ...,
        skip_remote_only_condition: bool | ToolInput | None = ...,
        file: Any = ...,
        attachment_id: str | ToolInput | None = ...,
        download: bool | ToolInput | None = ...,
        visibility_role: str | ToolInput | None = ...,
        comment_id: str | ToolInput | None = ...,
        use_wiki_markup: bool | ToolInput | None = ...,
        email_address: str | ToolInput | None = ...,
        notification: bool | ToolInput | None = ...,
        account_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationLinearTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        team_id: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        assignee_id: str | ToolInput | None = ...,
        state_id: str | ToolInput | None = ...,
        priority: str | ToolInput | None = ...,
        issue_id: str | ToolInput | None = ...,
        update_team_id: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        link: str | ToolInput | None = ...,
        comment: str | ToolInput | None = ...,
        parent_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationLinkedinTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        post_text: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMailchimpTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        campaign_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        list_id: str | ToolInput | None = ...,
        email_address: str | ToolInput | None = ...,
        first_name: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        member_id: str | ToolInput | None = ...,
        tags: list[str] | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMailgunTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        domain: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        body: str | ToolInput | None = ...,
        from_name: str | ToolInput | None = ...,
        from_email: str | ToolInput | None = ...,
        recipients: str | ToolInput | None = ...,
        cc_recipients: str | ToolInput | None = ...,
        bcc_recipients: str | ToolInput | None = ...,
        list_name: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMicrosoftTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        item_id: str | ToolInput | None = ...,
        file: Any = ...,
        folder_id: str | ToolInput | None = ...,
        file_name: str | ToolInput | None = ...,
        file_content: str | ToolInput | None = ...,
        content_type: str | ToolInput | None = ...,
        file_id: str | ToolInput | None = ...,
        search_folder_id: str | ToolInput | None = ...,
        search_query: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        skip_token: str | ToolInput | None = ...,
        item_type: str | ToolInput | None = ...,
        destination_folder_id: str | ToolInput | None = ...,
        new_name: str | ToolInput | None = ...,
        link_type: str | ToolInput | None = ...,
        link_scope: str | ToolInput | None = ...,
        password: str | ToolInput | None = ...,
        expiration_date: Any = ...,
        parent_folder_id: str | ToolInput | None = ...,
        folder_name: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMicrosoftCalendarTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        calendar_name: str | ToolInput | None = ...,
        color: str | ToolInput | None = ...,
        calendar_owner_email: str | ToolInput | None = ...,
        calendar_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        filter_query: str | ToolInput | None = ...,
        calendar: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        body: str | ToolInput | None = ...,
        start_datetime: Any = ...,
        duration: int | ToolInput | None = ...,
        all_day_event: bool | ToolInput | None = ...,
        location: str | ToolInput | None = ...,
        attendees: str | ToolInput | None = ...,
        is_reminder_on: bool | ToolInput | None = ...,
        reminder_minutes: int | ToolInput | None = ...,
        importance: str | ToolInput | None = ...,
        sensitivity: str | ToolInput | None = ...,
        show_as: str | ToolInput | None = ...,
        categories: str | ToolInput | None = ...,
        is_online_meeting: bool | ToolInput | None = ...,
        online_meeting_provider: str | ToolInput | None = ...,
        hide_attendees: bool | ToolInput | None = ...,
        response_requested: bool | ToolInput | None = ...,
        allow_new_time_proposals: bool | ToolInput | None = ...,
        attachments: list[Any] | ToolInput | None = ...,
        start_date_and_time: Any = ...,
        end_date_and_time: Any = ...,
        slot_duration: int | ToolInput | None = ...,
        timezone: str | ToolInput | None = ...,
        attendee_emails: list[str] | ToolInput | None = ...,
        attendee_types: list[str] | ToolInput | None = ...,
        meeting_duration: str | ToolInput | None = ...,
        minimum_attendee_percentage: int | ToolInput | None = ...,
        max_suggestions: int | ToolInput | None = ...,
        is_organizer_optional: bool | ToolInput | None = ...,
        activity_domain: str | ToolInput | None = ...,
        location_names: list[str] | ToolInput | None = ...,
        is_location_required: bool | ToolInput | None = ...,
        suggest_location: bool | ToolInput | None = ...,
        event_id: str | ToolInput | None = ...,
        from_all_calendars: bool | ToolInput | None = ...,
        subject_contains: str | ToolInput | None = ...,
        is_all_day: bool | ToolInput | None = ...,
        has_attachments: bool | ToolInput | None = ...,
        include_full_body: bool | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        event_subject: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        end_datetime: Any = ...,
        user_identifier: str | ToolInput | None = ...,
        search: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMicrosoftDynamicsCrmTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        create_account_name: str | ToolInput | None = ...,
        account_number: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        website: str | ToolInput | None = ...,
        address_line1: str | ToolInput | None = ...,
        city: str | ToolInput | None = ...,
        state: str | ToolInput | None = ...,
        postal_code: str | ToolInput | None = ...,
        country: str | ToolInput | None = ...,
        industry: str | ToolInput | None = ...,
        number_of_employees: int | ToolInput | None = ...,
        revenue: str | ToolInput | None = ...,
        additional_fields: str | ToolInput | None = ...,
        account_id: str | ToolInput | None = ...,
        select_fields: str | ToolInput | None = ...,
        expand: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        name: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMicrosoftExcelTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        endpoint_0: Any = ...,
        endpoint_1: Any = ...,
        *,
        worksheet_id: str | ToolInput | None = ...,
        range_address: str | ToolInput | None = ...,
        has_headers: bool | ToolInput | None = ...,
        table_id: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        lookup_column: str | ToolInput | None = ...,
        lookup_value: str | ToolInput | None = ...,
        workbook_id: str | ToolInput | None = ...,
        worksheet_name: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        mode: str | ToolInput | None = ...,
        row_data: str | ToolInput | None = ...,
        search_column: str | ToolInput | None = ...,
        search_value: str | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationMicrosoftOneNoteTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        display_name: str | ToolInput | None = ...,
        notebook_id: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        order_by_field: str | ToolInput | None = ...,
        order_direction: str | ToolInput | None = ...,
        section_id: str | ToolInput | None = ...,
        section_group_id: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        content: str | ToolInput | None = ...,
        file: Any = ...,
        file_name: str | ToolInput | None = ...,
        page_id: str | ToolInput | None = ...,
        patch_action: str | ToolInput | None = ...,
        target_text: str | ToolInput | None = ...,
        position: str | ToolInput | None = ...,
        destination_section_id: str | ToolInput | None = ...,
        group_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMicrosoftSqlServerTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        sql_query: str | ToolInput | None = ...,
        parameters: list[str] | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        table_name: str | ToolInput | None = ...,
        data: str | ToolInput | None = ...,
        columns: list[str] | ToolInput | None = ...,
        batch_size: int | ToolInput | None = ...,
        where_clause: str | ToolInput | None = ...,
        confirm_delete: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMondayTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        endpoint_0: Any = ...,
        *,
        name: str | ToolInput | None = ...,
        board_kind: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        template_id: str | ToolInput | None = ...,
        workspace_id: str | ToolInput | None = ...,
        board_id: str | ToolInput | None = ...,
        state: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        group_name: str | ToolInput | None = ...,
        color: str | ToolInput | None = ...,
        position: str | ToolInput | None = ...,
        include_archived: bool | ToolInput | None = ...,
        group_id: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        column_type: str | ToolInput | None = ...,
        defaults: str | ToolInput | None = ...,
        item_name: str | ToolInput | None = ...,
        column_item_id: str | ToolInput | None = ...,
        search_by_name: str | ToolInput | None = ...,
        filter_column_id: str | ToolInput | None = ...,
        filter_value: str | ToolInput | None = ...,
        sort_by: str | ToolInput | None = ...,
        sort_direction: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        column_id: str | ToolInput | None = ...,
        value: str | ToolInput | None = ...,
        column_value: str | ToolInput | None = ...,
        target_group_id: str | ToolInput | None = ...,
        update_text: str | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationMongodbTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        collection: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        document: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        update: str | ToolInput | None = ...,
        replacement: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationMysqlTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        query: str | ToolInput | None = ...,
        query_type: str | ToolInput | None = ...,
        sql_generation_model: str | ToolInput | None = ...,
        query_agent_model: str | ToolInput | None = ...,
        table_name: str | ToolInput | None = ...,
        data: str | ToolInput | None = ...,
        connection_timeout: int | ToolInput | None = ...,
        connection_limit: int | ToolInput | None = ...,
        columns: str | ToolInput | None = ...,
        where_clause: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        sql_query: str | ToolInput | None = ...,
        parameters: str | ToolInput | None = ...,
        column_to_match_on: str | ToolInput | None = ...,
        value: str | ToolInput | None = ...,
        delete_command: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationNotionTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        endpoint_0: Any = ...,
        *,
        item_id: str | ToolInput | None = ...,
        condition: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        icon_type: str | ToolInput | None = ...,
        icon: str | ToolInput | None = ...,
        blocks: list[str] | ToolInput | None = ...,
        get_page_content: bool | ToolInput | None = ...,
        page_id: str | ToolInput | None = ...,
        block_id: str | ToolInput | None = ...,
        database_id: str | ToolInput | None = ...,
        properties: str | ToolInput | None = ...,
        archived: bool | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationOpenweathermapTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        location_type: str | ToolInput | None = ...,
        *,
        units: str | ToolInput | None = ...,
        language: str | ToolInput | None = ...,
        city_name: str | ToolInput | None = ...,
        city_id: str | ToolInput | None = ...,
        latitude: str | ToolInput | None = ...,
        longitude: str | ToolInput | None = ...,
        zip_code: str | ToolInput | None = ...,
        count: int | ToolInput | None = ...,
    ) -> None: ...

class IntegrationOracleDatabaseTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        endpoint_0: Any = ...,
        *,
        schema: str | ToolInput | None = ...,
        table_name: str | ToolInput | None = ...,
        data: list[str] | ToolInput | None = ...,
        auto_commit: bool | ToolInput | None = ...,
        where_clause: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        output_numbers_as_string: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        match_columns: str | ToolInput | None = ...,
        delete_command: str | ToolInput | None = ...,
        sql_query: str | ToolInput | None = ...,
        bind_variable_placeholder_values: str | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationOutlookTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        recipients: str | ToolInput | None = ...,
        cc_recipients: str | ToolInput | None = ...,
        bcc_recipients: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        body: str | ToolInput | None = ...,
        format: str | ToolInput | None = ...,
        attachments: list[Any] | ToolInput | None = ...,
        email_id: str | ToolInput | None = ...,
        sender_name: str | ToolInput | None = ...,
        reply_to: str | ToolInput | None = ...,
        reply_to_sender_only: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
        to: str | ToolInput | None = ...,
        has_attachment: str | ToolInput | None = ...,
        is_read: bool | str | ToolInput | None = ...,
        importance: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        message_id: str | ToolInput | None = ...,
        output: str | ToolInput | None = ...,
        destination_folder_id: str | ToolInput | None = ...,
        body_content_type: str | ToolInput | None = ...,
        to_recipients: str | ToolInput | None = ...,
        is_read_receipt_requested: bool | ToolInput | None = ...,
        display_name: str | ToolInput | None = ...,
        parent_folder_id: str | ToolInput | None = ...,
        folder_id: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        search: str | ToolInput | None = ...,
        attachment: Any = ...,
        attachment_id: str | ToolInput | None = ...,
        first_name: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        middle_name: str | ToolInput | None = ...,
        nickname: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        initials: str | ToolInput | None = ...,
        file_as: str | ToolInput | None = ...,
        email_addresses: str | ToolInput | None = ...,
        mobile_phone: str | ToolInput | None = ...,
        business_phones: str | ToolInput | None = ...,
        home_phones: str | ToolInput | None = ...,
        im_addresses: str | ToolInput | None = ...,
        job_title: str | ToolInput | None = ...,
        company_name: str | ToolInput | None = ...,
        department: str | ToolInput | None = ...,
        office_location: str | ToolInput | None = ...,
        profession: str | ToolInput | None = ...,
        manager: str | ToolInput | None = ...,
        birthday: Any = ...,
        spouse_name: str | ToolInput | None = ...,
        children: str | ToolInput | None = ...,
        business_home_page: str | ToolInput | None = ...,
        notes: str | ToolInput | None = ...,
        categories: str | ToolInput | None = ...,
        business_address_street: str | ToolInput | None = ...,
        business_address_city: str | ToolInput | None = ...,
        business_address_state: str | ToolInput | None = ...,
        business_address_postal_code: str | ToolInput | None = ...,
        business_address_country: str | ToolInput | None = ...,
        home_address_street: str | ToolInput | None = ...,
        home_address_city: str | ToolInput | None = ...,
        home_address_state: str | ToolInput | None = ...,
        home_address_postal_code: str | ToolInput | None = ...,
        home_address_country: str | ToolInput | None = ...,
        other_address_street: str | ToolInput | None = ...,
        other_address_city: str | ToolInput | None = ...,
        other_address_state: str | ToolInput | None = ...,
        other_address_postal_code: str | ToolInput | None = ...,
        other_address_country: str | ToolInput | None = ...,
        contact_id: str | ToolInput | None = ...,
        contact_limit: int | ToolInput | None = ...,
        filter_query: str | ToolInput | None = ...,
        email_address: str | ToolInput | None = ...,
        user_identifier: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationPagerDutyTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        title: str | ToolInput | None = ...,
        service_id: str | ToolInput | None = ...,
        urgency: str | ToolInput | None = ...,
        incident_key: str | ToolInput | None = ...,
        details: str | ToolInput | None = ...,
        escalation_policy_id: str | ToolInput | None = ...,
        priority_id: str | ToolInput | None = ...,
        assignees: str | ToolInput | None = ...,
        conference_number: str | ToolInput | None = ...,
        conference_url: str | ToolInput | None = ...,
        incident_id: str | ToolInput | None = ...,
        statuses: str | ToolInput | None = ...,
        service_ids: str | ToolInput | None = ...,
        user_ids: str | ToolInput | None = ...,
        urgencies: str | ToolInput | None = ...,
        sort_by: str | ToolInput | None = ...,
        sort_order: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        status: str | ToolInput | None = ...,
        resolution: str | ToolInput | None = ...,
        content: str | ToolInput | None = ...,
        log_entry_id: str | ToolInput | None = ...,
        include: str | ToolInput | None = ...,
        time_zone: str | ToolInput | None = ...,
        is_overview: bool | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationPeopledatalabsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        first_name: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        location: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        company: str | ToolInput | None = ...,
        profile_url: str | ToolInput | None = ...,
        country: str | ToolInput | None = ...,
        job_titles: str | ToolInput | None = ...,
        job_company_names: str | ToolInput | None = ...,
        skills: str | ToolInput | None = ...,
        number_of_results: int | str | ToolInput | None = ...,
        es_query: str | ToolInput | None = ...,
        sql: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        profile: str | ToolInput | None = ...,
        website: str | ToolInput | None = ...,
        tags: str | ToolInput | None = ...,
        industries: str | ToolInput | None = ...,
        company_size_ranges: str | ToolInput | None = ...,
        founded_year_range: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationPineconeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        index: str | ToolInput | None = ...,
        namespace: str | ToolInput | None = ...,
        ids: list[str] | ToolInput | None = ...,
        include_values: bool | ToolInput | None = ...,
        include_metadata: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        vectors: str | ToolInput | None = ...,
        batch_size: int | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        values: str | ToolInput | None = ...,
        metadata: str | ToolInput | None = ...,
        set_metadata: bool | ToolInput | None = ...,
        embedding_model: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationPostgresTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        query: str | ToolInput | None = ...,
        query_type: str | ToolInput | None = ...,
        sql_generation_model: str | ToolInput | None = ...,
        query_agent_model: str | ToolInput | None = ...,
        sql_query: str | ToolInput | None = ...,
        parameters: list[str] | ToolInput | None = ...,
        table_name: str | ToolInput | None = ...,
        columns: str | ToolInput | None = ...,
        where_clause: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        data: str | ToolInput | None = ...,
        return_id: bool | ToolInput | None = ...,
        delete_entire_table: bool | ToolInput | None = ...,
        confirm_delete: bool | ToolInput | None = ...,
        conflict_columns: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationPowerbiTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        workspace_id: str | ToolInput | None = ...,
        dataset_id: str | ToolInput | None = ...,
        table_name: str | ToolInput | None = ...,
        rows_data: str | ToolInput | None = ...,
        top: int | ToolInput | None = ...,
        dax_query: str | ToolInput | None = ...,
        include_nulls: bool | ToolInput | None = ...,
        impersonated_user: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        notify_option: str | ToolInput | None = ...,
        report_id: str | ToolInput | None = ...,
        export_format: str | ToolInput | None = ...,
        wait_for_completion: bool | ToolInput | None = ...,
        dashboard_id: str | ToolInput | None = ...,
        dataflow_id: str | ToolInput | None = ...,
        gateway_id: str | ToolInput | None = ...,
        datasource_id: str | ToolInput | None = ...,
        lineage: bool | ToolInput | None = ...,
        datasource_details: bool | ToolInput | None = ...,
        dataset_schema: bool | ToolInput | None = ...,
        dataset_expressions: bool | ToolInput | None = ...,
        artifact_users: bool | ToolInput | None = ...,
        scan_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationQuickbooksTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        add_billing_address: bool | ToolInput | None = ...,
        *,
        vendor_id: str | ToolInput | None = ...,
        line_items: list[str] | ToolInput | None = ...,
        ap_account_id: str | ToolInput | None = ...,
        due_date: Any = ...,
        txn_date: Any = ...,
        sales_term_id: str | ToolInput | None = ...,
        doc_number: str | ToolInput | None = ...,
        private_note: str | ToolInput | None = ...,
        bill_id: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        ap_account_name: str | ToolInput | None = ...,
        sales_term_name: str | ToolInput | None = ...,
        display_name: str | ToolInput | None = ...,
        company_name: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        given_name: str | ToolInput | None = ...,
        middle_name: str | ToolInput | None = ...,
        family_name: str | ToolInput | None = ...,
        suffix: str | ToolInput | None = ...,
        notes: str | ToolInput | None = ...,
        primary_email_address: str | ToolInput | None = ...,
        primary_phone: str | ToolInput | None = ...,
        active: bool | ToolInput | None = ...,
        taxable: bool | ToolInput | None = ...,
        parent_customer_id: str | ToolInput | None = ...,
        balance: float | ToolInput | None = ...,
        preferred_delivery_method: str | ToolInput | None = ...,
        print_on_check_name: str | ToolInput | None = ...,
        fully_qualified_name: str | ToolInput | None = ...,
        billing_address_line: str | ToolInput | None = ...,
        billing_address_city: str | ToolInput | None = ...,
        billing_address_state: str | ToolInput | None = ...,
        billing_address_postal_code: str | ToolInput | None = ...,
        billing_address_country: str | ToolInput | None = ...,
        customer_id: str | ToolInput | None = ...,
        billable_time: bool | ToolInput | None = ...,
        ssn: str | ToolInput | None = ...,
        billing_address_country_subdivision_code: str | ToolInput | None = ...,
        employee_id: str | ToolInput | None = ...,
        custom_fields: list[str] | ToolInput | None = ...,
        customer_memo: str | ToolInput | None = ...,
        billing_email: str | ToolInput | None = ...,
        shipping_address_line: str | ToolInput | None = ...,
        shipping_address_city: str | ToolInput | None = ...,
        shipping_address_state: str | ToolInput | None = ...,
        shipping_address_postal_code: str | ToolInput | None = ...,
        shipping_address_country: str | ToolInput | None = ...,
        apply_tax_after_discount: bool | ToolInput | None = ...,
        print_status: str | ToolInput | None = ...,
        email_status: str | ToolInput | None = ...,
        estimate_id: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        quickbooks_item_id: str | ToolInput | None = ...,
        total_amount: float | ToolInput | None = ...,
        payment_id: str | ToolInput | None = ...,
        purchase_id: str | ToolInput | None = ...,
        account_number: str | ToolInput | None = ...,
        vendor_1099: bool | ToolInput | None = ...,
        invoice_id: str | ToolInput | None = ...,
        transaction_type: str | ToolInput | None = ...,
        accounts_payable_paid: str | ToolInput | None = ...,
        accounts_receivable_paid: str | ToolInput | None = ...,
        cleared_status: str | ToolInput | None = ...,
        customer_ids: str | ToolInput | None = ...,
        date_range_from: Any = ...,
        date_range_to: Any = ...,
        date_range_predefined: str | ToolInput | None = ...,
        creation_date_from: Any = ...,
        creation_date_to: Any = ...,
        creation_date_predefined: str | ToolInput | None = ...,
        due_date_from: Any = ...,
        due_date_to: Any = ...,
        due_date_predefined: str | ToolInput | None = ...,
        modification_date_from: Any = ...,
        modification_date_to: Any = ...,
        modification_date_predefined: str | ToolInput | None = ...,
        department_ids: str | ToolInput | None = ...,
        document_number: str | ToolInput | None = ...,
        group_by: str | ToolInput | None = ...,
        memo_ids: str | ToolInput | None = ...,
        payment_method: str | ToolInput | None = ...,
        printed_status: str | ToolInput | None = ...,
        quick_zoom_url: bool | ToolInput | None = ...,
        sort_by: str | ToolInput | None = ...,
        sort_order: str | ToolInput | None = ...,
        source_account_type: str | ToolInput | None = ...,
        term_ids: str | ToolInput | None = ...,
        bothamount: float | ToolInput | None = ...,
        vendor_ids: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationRedditTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        subreddit: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        post_type: str | ToolInput | None = ...,
        text_content: str | ToolInput | None = ...,
        url: str | ToolInput | None = ...,
        nsfw: bool | ToolInput | None = ...,
        spoiler: bool | ToolInput | None = ...,
        post_id: str | ToolInput | None = ...,
        sort_type: str | ToolInput | None = ...,
        time_filter: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        comment_text: str | ToolInput | None = ...,
        comment_id: str | ToolInput | None = ...,
        reply_text: str | ToolInput | None = ...,
        subreddit_name: str | ToolInput | None = ...,
        category: str | ToolInput | None = ...,
        username: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationSalesforceTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        company: str | ToolInput | None = ...,
        lastname: str | ToolInput | None = ...,
        first_name: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        website: str | ToolInput | None = ...,
        industry: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        rating: str | ToolInput | None = ...,
        lead_source: str | ToolInput | None = ...,
        city: str | ToolInput | None = ...,
        state: str | ToolInput | None = ...,
        country: str | ToolInput | None = ...,
        postal_code: str | ToolInput | None = ...,
        street: str | ToolInput | None = ...,
        fax: str | ToolInput | None = ...,
        mobile_phone: str | ToolInput | None = ...,
        salutation: str | ToolInput | None = ...,
        annual_revenue: int | str | ToolInput | None = ...,
        number_of_employees: int | str | ToolInput | None = ...,
        is_unread_by_owner: bool | ToolInput | None = ...,
        owner: str | ToolInput | None = ...,
        record_type_id: str | ToolInput | None = ...,
        custom_fields: str | ToolInput | None = ...,
        external_id: str | ToolInput | None = ...,
        external_id_value: str | ToolInput | None = ...,
        lead_id: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        condition: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        owner_id: str | ToolInput | None = ...,
        created_date: str | ToolInput | None = ...,
        modified_date: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        campaign_id: str | ToolInput | None = ...,
        has_responded: bool | ToolInput | None = ...,
        body: str | ToolInput | None = ...,
        is_private: bool | str | ToolInput | None = ...,
        department: str | ToolInput | None = ...,
        account_id: str | ToolInput | None = ...,
        home_phone: str | ToolInput | None = ...,
        other_phone: str | ToolInput | None = ...,
        assistant_name: str | ToolInput | None = ...,
        assistant_phone: str | ToolInput | None = ...,
        mailing_street: str | ToolInput | None = ...,
        mailing_city: str | ToolInput | None = ...,
        mailing_state: str | ToolInput | None = ...,
        mailing_postal_code: str | ToolInput | None = ...,
        mailing_country: str | ToolInput | None = ...,
        other_street: str | ToolInput | None = ...,
        other_city: str | ToolInput | None = ...,
        other_state: str | ToolInput | None = ...,
        other_postal_code: str | ToolInput | None = ...,
        other_country: str | ToolInput | None = ...,
        birthdate: str | ToolInput | None = ...,
        contact_id: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        billing_street: str | ToolInput | None = ...,
        billing_city: str | ToolInput | None = ...,
        billing_state: str | ToolInput | None = ...,
        billing_postal_code: str | ToolInput | None = ...,
        billing_country: str | ToolInput | None = ...,
        stage_name: str | ToolInput | None = ...,
        close_date: str | ToolInput | None = ...,
        amount: float | int | str | ToolInput | None = ...,
        probability: float | int | str | ToolInput | None = ...,
        forecast_category_name: str | ToolInput | None = ...,
        next_step: str | ToolInput | None = ...,
        has_opportunity_line_item: str | ToolInput | None = ...,
        opportunity_id: str | ToolInput | None = ...,
        expected_revenue: str | ToolInput | None = ...,
        total_opportunity_quantity: str | ToolInput | None = ...,
        is_closed: str | ToolInput | None = ...,
        is_won: str | ToolInput | None = ...,
        forecast_category: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        priority: str | ToolInput | None = ...,
        origin: str | ToolInput | None = ...,
        reason: str | ToolInput | None = ...,
        case_id: str | ToolInput | None = ...,
        case_number: str | ToolInput | None = ...,
        supplied_name: str | ToolInput | None = ...,
        supplied_email: str | ToolInput | None = ...,
        supplied_phone: str | ToolInput | None = ...,
        supplied_company: str | ToolInput | None = ...,
        is_escalated: str | ToolInput | None = ...,
        closed_date: str | ToolInput | None = ...,
        last_viewed_date: str | ToolInput | None = ...,
        last_referenced_date: str | ToolInput | None = ...,
        engineering_req_number: str | ToolInput | None = ...,
        product: str | ToolInput | None = ...,
        potential_liability: str | ToolInput | None = ...,
        sla_violation: str | ToolInput | None = ...,
        comment_body: str | ToolInput | None = ...,
        activity_date: str | ToolInput | None = ...,
        what_id: str | ToolInput | None = ...,
        who_id: str | ToolInput | None = ...,
        task_subtype: str | ToolInput | None = ...,
        is_reminder_set: bool | str | ToolInput | None = ...,
        task_id: str | ToolInput | None = ...,
        subject_line: str | ToolInput | None = ...,
        reminder_date_time: str | ToolInput | None = ...,
        is_recurrence: str | ToolInput | None = ...,
        recurrence_activity_id: str | ToolInput | None = ...,
        parent_id: str | ToolInput | None = ...,
        attachments: list[Any] | ToolInput | None = ...,
        attachment_id: str | ToolInput | None = ...,
        content_type: str | ToolInput | None = ...,
        file: Any = ...,
        file_extension: str | ToolInput | None = ...,
        link_to_object_id: str | ToolInput | None = ...,
        custom_object: str | ToolInput | None = ...,
        record_id: str | ToolInput | None = ...,
        created_by_id: str | ToolInput | None = ...,
        last_modified_by_id: str | ToolInput | None = ...,
        system_mod_stamp: str | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
        username: str | ToolInput | None = ...,
        is_active: str | ToolInput | None = ...,
        sql_query: str | ToolInput | None = ...,
        api_name: str | ToolInput | None = ...,
        json_parameters: bool | ToolInput | None = ...,
        variables_json: str | ToolInput | None = ...,
        variables: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationSecEdgarTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        company: str | ToolInput | None = ...,
        cik: str | ToolInput | None = ...,
        taxonomy: str | ToolInput | None = ...,
        concept: str | ToolInput | None = ...,
        unit: str | ToolInput | None = ...,
        period: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationServicenowTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        search_by: str | ToolInput | None = ...,
        *,
        user_name: str | ToolInput | None = ...,
        first_name: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        department: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        mobile_phone: str | ToolInput | None = ...,
        middle_name: str | ToolInput | None = ...,
        gender: str | ToolInput | None = ...,
        active: bool | ToolInput | None = ...,
        user_password: str | ToolInput | None = ...,
        password_needs_reset: bool | ToolInput | None = ...,
        time_zone: str | ToolInput | None = ...,
        building: str | ToolInput | None = ...,
        street: str | ToolInput | None = ...,
        city: str | ToolInput | None = ...,
        state: str | ToolInput | None = ...,
        zip: str | ToolInput | None = ...,
        country: str | ToolInput | None = ...,
        location: str | ToolInput | None = ...,
        company: str | ToolInput | None = ...,
        home_phone: str | ToolInput | None = ...,
        manager: str | ToolInput | None = ...,
        roles: str | ToolInput | None = ...,
        source: str | ToolInput | None = ...,
        exclude_reference_link: bool | ToolInput | None = ...,
        sysparm_fields: str | ToolInput | None = ...,
        sysparm_display_value: str | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        sysparm_query: str | ToolInput | None = ...,
        short_description: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        category: str | ToolInput | None = ...,
        subcategory: str | ToolInput | None = ...,
        impact: str | ToolInput | None = ...,
        urgency: str | ToolInput | None = ...,
        assigned_to: str | ToolInput | None = ...,
        assignment_group: str | ToolInput | None = ...,
        caller_id: str | ToolInput | None = ...,
        contact_type: str | ToolInput | None = ...,
        business_service: str | ToolInput | None = ...,
        cmdb_ci: str | ToolInput | None = ...,
        close_code: str | ToolInput | None = ...,
        close_notes: str | ToolInput | None = ...,
        incident_id: str | ToolInput | None = ...,
        table_name: str | ToolInput | None = ...,
        data_json: str | ToolInput | None = ...,
        record_id: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        table_sys_id: str | ToolInput | None = ...,
        file_content: Any = ...,
        file_name: str | ToolInput | None = ...,
        content_type: str | ToolInput | None = ...,
        attachment_id: str | ToolInput | None = ...,
        download: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationSharepointTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_file_picker: bool | ToolInput | None = ...,
        *,
        file_name: str | ToolInput | None = ...,
        file_content: str | ToolInput | None = ...,
        file_id: str | ToolInput | None = ...,
        drive_id: str | ToolInput | None = ...,
        folder_path: str | ToolInput | None = ...,
        download_file: bool | ToolInput | None = ...,
        file_item_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        file: Any = ...,
        new_name: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        search_query: str | ToolInput | None = ...,
        destination_id: str | ToolInput | None = ...,
        dest_drive_id: str | ToolInput | None = ...,
        dest_folder_id: str | ToolInput | None = ...,
        folder_name: str | ToolInput | None = ...,
        folder_item_id: str | ToolInput | None = ...,
        site_id: str | ToolInput | None = ...,
        list_id: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        matching_fields: str | ToolInput | None = ...,
        list_item_id: str | ToolInput | None = ...,
        expand_fields: bool | ToolInput | None = ...,
        select_fields: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        order_by: str | ToolInput | None = ...,
        skip_token: str | ToolInput | None = ...,
        expand_columns: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationSlackTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        team: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        is_private: bool | ToolInput | None = ...,
        channel: str | ToolInput | None = ...,
        user: str | ToolInput | None = ...,
        types: str | ToolInput | None = ...,
        exclude_archived: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        users: str | ToolInput | None = ...,
        return_im: bool | ToolInput | None = ...,
        thread_ts: str | ToolInput | None = ...,
        purpose: str | ToolInput | None = ...,
        topic: str | ToolInput | None = ...,
        auto_invite_bot: bool | ToolInput | None = ...,
        message: str | ToolInput | None = ...,
        attachments: list[Any] | ToolInput | None = ...,
        team_id: str | ToolInput | None = ...,
        user_ids: str | ToolInput | None = ...,
        timestamp: str | ToolInput | None = ...,
        blocks: str | ToolInput | None = ...,
        as_user: bool | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        sort: str | ToolInput | None = ...,
        sort_dir: str | ToolInput | None = ...,
        highlight: bool | ToolInput | None = ...,
        full: bool | ToolInput | None = ...,
        file: str | ToolInput | None = ...,
        file_comment: str | ToolInput | None = ...,
        files: list[Any] | ToolInput | None = ...,
        filename: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        select_team: str | ToolInput | None = ...,
        share_file_with_channels: str | ToolInput | None = ...,
        initial_comment: str | ToolInput | None = ...,
        count: int | ToolInput | None = ...,
        page: int | ToolInput | None = ...,
        ts_from: str | ToolInput | None = ...,
        ts_to: str | ToolInput | None = ...,
        show_files_hidden_by_limit: bool | ToolInput | None = ...,
        include_locale: bool | ToolInput | None = ...,
        include_labels: bool | ToolInput | None = ...,
        display_name: str | ToolInput | None = ...,
        real_name: str | ToolInput | None = ...,
        status_text: str | ToolInput | None = ...,
        status_emoji: str | ToolInput | None = ...,
        first_name: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        pronouns: str | ToolInput | None = ...,
        start_date: str | ToolInput | None = ...,
        status_expiration: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        profile: str | ToolInput | None = ...,
        handle: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        include_count: bool | ToolInput | None = ...,
        usergroup: str | ToolInput | None = ...,
        include_disabled: bool | ToolInput | None = ...,
        include_users: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationSmartsheetTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        endpoint_0: Any = ...,
        *,
        name: str | ToolInput | None = ...,
        destination_id: str | ToolInput | None = ...,
        primary_column_title: str | ToolInput | None = ...,
        sheet_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        new_name: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        row_id: str | ToolInput | None = ...,
        row_ids: str | ToolInput | None = ...,
        ignore_rows_not_found: bool | ToolInput | None = ...,
        destination_sheet_id: str | ToolInput | None = ...,
        column_id: str | ToolInput | None = ...,
        descending: bool | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        index: int | ToolInput | None = ...,
        options: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        width: int | ToolInput | None = ...,
        hidden: bool | ToolInput | None = ...,
        locked: bool | ToolInput | None = ...,
        file: Any = ...,
        alt_text: str | ToolInput | None = ...,
        folder_id: str | ToolInput | None = ...,
        include: str | ToolInput | None = ...,
        workspace_id: str | ToolInput | None = ...,
        comment_text: str | ToolInput | None = ...,
        discussion_id: str | ToolInput | None = ...,
        include_all: bool | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        comment_id: str | ToolInput | None = ...,
        attachment_type: str | ToolInput | None = ...,
        attachment_subtype: str | ToolInput | None = ...,
        url: str | ToolInput | None = ...,
        attachment_id: str | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationSnowflakeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        query: str | ToolInput | None = ...,
        query_type: str | ToolInput | None = ...,
        warehouse: str | ToolInput | None = ...,
        database: str | ToolInput | None = ...,
        schema: str | ToolInput | None = ...,
        sql_generation_model: str | ToolInput | None = ...,
        query_agent_model: str | ToolInput | None = ...,
        table_name: str | ToolInput | None = ...,
        data: str | ToolInput | None = ...,
        return_id: bool | ToolInput | None = ...,
        where_clause: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
    ) -> None: ...

class IntegrationStripeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        customer_name: str | ToolInput | None = ...,
        customer_email: str | ToolInput | None = ...,
        customer_phone: str | ToolInput | None = ...,
        customer_description: str | ToolInput | None = ...,
        customer_id: str | ToolInput | None = ...,
        update_customer_name: str | ToolInput | None = ...,
        update_customer_email: str | ToolInput | None = ...,
        update_customer_phone: str | ToolInput | None = ...,
        update_customer_description: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        charge_amount: int | ToolInput | None = ...,
        charge_currency: str | ToolInput | None = ...,
        charge_source: str | ToolInput | None = ...,
        charge_description: str | ToolInput | None = ...,
        charge_id: str | ToolInput | None = ...,
        update_charge_description: str | ToolInput | None = ...,
        coupon_duration: str | ToolInput | None = ...,
        coupon_amount_off: int | ToolInput | None = ...,
        coupon_percent_off: float | ToolInput | None = ...,
        coupon_currency: str | ToolInput | None = ...,
        coupon_name: str | ToolInput | None = ...,
        coupon_duration_in_months: int | ToolInput | None = ...,
        coupon_max_redemptions: int | ToolInput | None = ...,
        card_customer_id: str | ToolInput | None = ...,
        card_token: str | ToolInput | None = ...,
        read_card_customer_id: str | ToolInput | None = ...,
        read_card_source_id: str | ToolInput | None = ...,
        remove_card_customer_id: str | ToolInput | None = ...,
        remove_card_id: str | ToolInput | None = ...,
        source_customer_id: str | ToolInput | None = ...,
        source_type: str | ToolInput | None = ...,
        source_amount: int | ToolInput | None = ...,
        source_currency: str | ToolInput | None = ...,
        source_statement_descriptor: str | ToolInput | None = ...,
        read_source_id: str | ToolInput | None = ...,
        delete_source_customer_id: str | ToolInput | None = ...,
        delete_source_id: str | ToolInput | None = ...,
        token_card_number: str | ToolInput | None = ...,
        token_cvc: str | ToolInput | None = ...,
        token_exp_month: str | ToolInput | None = ...,
        token_exp_year: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationSugarCrmTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        module: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationSupabaseTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        build_manually: bool | ToolInput | None = ...,
        endpoint_0: Any = ...,
        *,
        table_name: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        **kwargs: Any,
    ) -> None: ...

class IntegrationTeamsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        team_id: str | ToolInput | None = ...,
        channel_name: str | ToolInput | None = ...,
        channel_description: str | ToolInput | None = ...,
        channel_type: str | ToolInput | None = ...,
        channel_id: str | ToolInput | None = ...,
        select_fields: str | ToolInput | None = ...,
        message_content: str | ToolInput | None = ...,
        content_type: str | ToolInput | None = ...,
        reply_to_message_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        chat_id: str | ToolInput | None = ...,
        message_id: str | ToolInput | None = ...,
        plan_id: str | ToolInput | None = ...,
        bucket_id: str | ToolInput | None = ...,
        task_title: str | ToolInput | None = ...,
        due_date: str | ToolInput | None = ...,
        percent_complete: int | ToolInput | None = ...,
        assigned_to: str | ToolInput | None = ...,
        task_id: str | ToolInput | None = ...,
        new_bucket_id: str | ToolInput | None = ...,
        user_identifier: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationTelegramTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        chat_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        telegram_file_id: str | ToolInput | None = ...,
        message_id: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        parse_mode: str | ToolInput | None = ...,
        disable_notification: bool | ToolInput | None = ...,
        animation: str | ToolInput | None = ...,
        caption: str | ToolInput | None = ...,
        audio: str | ToolInput | None = ...,
        duration: int | ToolInput | None = ...,
        performer: str | ToolInput | None = ...,
        document: str | ToolInput | None = ...,
        latitude: str | ToolInput | None = ...,
        longitude: str | ToolInput | None = ...,
        live_period: int | ToolInput | None = ...,
        heading: int | ToolInput | None = ...,
        media: str | ToolInput | None = ...,
        disable_web_page_preview: bool | ToolInput | None = ...,
        photo: str | ToolInput | None = ...,
        sticker: str | ToolInput | None = ...,
        video: str | ToolInput | None = ...,
        width: int | ToolInput | None = ...,
        height: int | ToolInput | None = ...,
    ) -> None: ...

class IntegrationTrelloTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        name: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        organization_id: str | ToolInput | None = ...,
        default_labels: bool | ToolInput | None = ...,
        default_lists: bool | ToolInput | None = ...,
        id_board_source: str | ToolInput | None = ...,
        keep_from_source: str | ToolInput | None = ...,
        power_ups: str | ToolInput | None = ...,
        prefs_permission_level: str | ToolInput | None = ...,
        prefs_voting: str | ToolInput | None = ...,
        prefs_comments: str | ToolInput | None = ...,
        prefs_invitations: str | ToolInput | None = ...,
        prefs_background: str | ToolInput | None = ...,
        prefs_card_aging: str | ToolInput | None = ...,
        board_id: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        actions: str | ToolInput | None = ...,
        board_stars: str | ToolInput | None = ...,
        cards: str | ToolInput | None = ...,
        card_plugin_data: bool | ToolInput | None = ...,
        checklists: str | ToolInput | None = ...,
        custom_fields: bool | ToolInput | None = ...,
        labels: str | ToolInput | None = ...,
        lists: str | ToolInput | None = ...,
        members: bool | str | ToolInput | None = ...,
        memberships: str | ToolInput | None = ...,
        plugin_data: bool | ToolInput | None = ...,
        organization: bool | ToolInput | None = ...,
        organization_plugin_data: bool | ToolInput | None = ...,
        tags: bool | ToolInput | None = ...,
        closed: bool | ToolInput | None = ...,
        id_organization: str | ToolInput | None = ...,
        prefs_self_join: bool | ToolInput | None = ...,
        prefs_card_covers: bool | ToolInput | None = ...,
        prefs_hide_votes: bool | ToolInput | None = ...,
        label_names_green: str | ToolInput | None = ...,
        label_names_yellow: str | ToolInput | None = ...,
        label_names_orange: str | ToolInput | None = ...,
        label_names_red: str | ToolInput | None = ...,
        label_names_purple: str | ToolInput | None = ...,
        label_names_blue: str | ToolInput | None = ...,
        member_id: str | ToolInput | None = ...,
        member_type: str | ToolInput | None = ...,
        allow_billable_guest: bool | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        full_name: str | ToolInput | None = ...,
        position: str | ToolInput | None = ...,
        list_id: str | ToolInput | None = ...,
        card_fields: str | ToolInput | None = ...,
        board: bool | ToolInput | None = ...,
        board_fields: str | ToolInput | None = ...,
        new_board_id: str | ToolInput | None = ...,
        pos: int | ToolInput | None = ...,
        subscribed: bool | ToolInput | None = ...,
        due_date: Any = ...,
        due_complete: bool | ToolInput | None = ...,
        start_date: Any = ...,
        id_members: str | ToolInput | None = ...,
        id_labels: str | ToolInput | None = ...,
        url_source: str | ToolInput | None = ...,
        id_card_source: str | ToolInput | None = ...,
        address: str | ToolInput | None = ...,
        location_name: str | ToolInput | None = ...,
        coordinates: str | ToolInput | None = ...,
        card_id: str | ToolInput | None = ...,
        attachments: bool | ToolInput | None = ...,
        attachment_fields: str | ToolInput | None = ...,
        member_fields: str | ToolInput | None = ...,
        members_voted: bool | ToolInput | None = ...,
        member_voted_fields: str | ToolInput | None = ...,
        check_item_states: bool | ToolInput | None = ...,
        list: bool | ToolInput | None = ...,
        stickers: bool | ToolInput | None = ...,
        sticker_fields: str | ToolInput | None = ...,
        custom_field_items: bool | ToolInput | None = ...,
        new_list_id: str | ToolInput | None = ...,
        id_attachment_cover: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        comment_id: str | ToolInput | None = ...,
        url: str | ToolInput | None = ...,
        mime_type: str | ToolInput | None = ...,
        set_cover: bool | ToolInput | None = ...,
        attachment_id: str | ToolInput | None = ...,
        download_file: bool | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        id_checklist_source: str | ToolInput | None = ...,
        checklist_id: str | ToolInput | None = ...,
        checked: bool | ToolInput | None = ...,
        due: Any = ...,
        id_member: str | ToolInput | None = ...,
        checklist_item_id: str | ToolInput | None = ...,
        color: str | ToolInput | None = ...,
        label_id: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationTwilioTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        to: str | ToolInput | None = ...,
        message: str | ToolInput | None = ...,
        message_type: str | ToolInput | None = ...,
        media_url: str | ToolInput | None = ...,
        voice: str | ToolInput | None = ...,
        language: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationTypeformTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        form_id: str | ToolInput | None = ...,
        number_of_responses: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationWeaviateTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        query: str | ToolInput | None = ...,
        embedding_model: str | ToolInput | None = ...,
        collection: str | ToolInput | None = ...,
        properties: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationWordpressTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        wordpress_url: str | ToolInput | None = ...,
        post_title: str | ToolInput | None = ...,
        post_content: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationXTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        tweet_text: str | ToolInput | None = ...,
        reply_to_tweet_id: str | ToolInput | None = ...,
        media_urls: list[str] | ToolInput | None = ...,
        quote_tweet_id: str | ToolInput | None = ...,
        tweet_id: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        max_results: int | ToolInput | None = ...,
        sort_order: str | ToolInput | None = ...,
        start_time: Any = ...,
        end_time: Any = ...,
        include_retweets: bool | ToolInput | None = ...,
        username: str | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
        list_id: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationYoutubeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        channel_ids: str | ToolInput | None = ...,
        username: str | ToolInput | None = ...,
        mine: bool | ToolInput | None = ...,
        managed_by_me: bool | ToolInput | None = ...,
        max_results: int | ToolInput | None = ...,
        page_token: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        keywords: str | ToolInput | None = ...,
        default_tab: str | ToolInput | None = ...,
        tracking_analytics_account_id: str | ToolInput | None = ...,
        moderate_comments: str | ToolInput | None = ...,
        show_related_channels: str | ToolInput | None = ...,
        show_sponsor_list: str | ToolInput | None = ...,
        show_browse_view: str | ToolInput | None = ...,
        featured_channels_title: str | ToolInput | None = ...,
        featured_channels_urls: str | ToolInput | None = ...,
        unsubscribed_trailer: str | ToolInput | None = ...,
        banner_image: Any = ...,
        tags: str | ToolInput | None = ...,
        default_language: str | ToolInput | None = ...,
        privacy_status: str | ToolInput | None = ...,
        playlist_id: str | ToolInput | None = ...,
        playlist_ids: str | ToolInput | None = ...,
        fetch_all: bool | ToolInput | None = ...,
        video_id: str | ToolInput | None = ...,
        position: int | ToolInput | None = ...,
        note: str | ToolInput | None = ...,
        start_at: str | ToolInput | None = ...,
        end_at: str | ToolInput | None = ...,
        playlist_item_id: str | ToolInput | None = ...,
        video_ids: str | ToolInput | None = ...,
        category_id: str | ToolInput | None = ...,
        chart: str | ToolInput | None = ...,
        region_code: str | ToolInput | None = ...,
        rating: str | ToolInput | None = ...,
        publish_at: Any = ...,
        license: str | ToolInput | None = ...,
        public_stats_viewable: bool | ToolInput | None = ...,
        recording_date: str | ToolInput | None = ...,
        embeddable: bool | ToolInput | None = ...,
        made_for_kids: bool | ToolInput | None = ...,
        video_file: Any = ...,
        language: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationZendeskTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        use_date: bool | ToolInput | None = ...,
        use_exact_date: bool | ToolInput | None = ...,
        *,
        ticket_subject: str | ToolInput | None = ...,
        ticket_body: str | ToolInput | None = ...,
        requester_email: str | ToolInput | None = ...,
        requester_name: str | ToolInput | None = ...,
        ticket_priority: Any = ...,
        ticket_type: str | ToolInput | None = ...,
        ticket_status: str | ToolInput | None = ...,
        ticket_group_id: str | ToolInput | None = ...,
        ticket_id: str | ToolInput | None = ...,
        update_ticket_subject: str | ToolInput | None = ...,
        update_ticket_body: str | ToolInput | None = ...,
        update_ticket_assignee_id: str | ToolInput | None = ...,
        update_ticket_group_id: str | ToolInput | None = ...,
        assignee: str | ToolInput | None = ...,
        requester: str | ToolInput | None = ...,
        organization: str | ToolInput | None = ...,
        priority: str | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        subject_exact: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        body: str | ToolInput | None = ...,
        comment: str | ToolInput | None = ...,
        comment_exact: str | ToolInput | None = ...,
        updated: str | ToolInput | None = ...,
        solved: str | ToolInput | None = ...,
        due: str | ToolInput | None = ...,
        brand: str | ToolInput | None = ...,
        satisfaction: str | ToolInput | None = ...,
        ticket_form: str | ToolInput | None = ...,
        group: str | ToolInput | None = ...,
        sort_by: str | ToolInput | None = ...,
        sort_order: str | ToolInput | None = ...,
        external_id: str | ToolInput | None = ...,
        include: str | ToolInput | None = ...,
        num_messages: int | ToolInput | None = ...,
        date_range: Any = ...,
        exact_date: Any = ...,
        public: bool | ToolInput | None = ...,
        ticket_field_id: str | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        user_name: str | ToolInput | None = ...,
        user_email: str | ToolInput | None = ...,
        user_role: str | ToolInput | None = ...,
        user_phone: str | ToolInput | None = ...,
        user_organization_id: str | ToolInput | None = ...,
        user_external_id: str | ToolInput | None = ...,
        user_alias: str | ToolInput | None = ...,
        user_details: str | ToolInput | None = ...,
        user_notes: str | ToolInput | None = ...,
        user_locale: str | ToolInput | None = ...,
        user_timezone: str | ToolInput | None = ...,
        user_signature: str | ToolInput | None = ...,
        user_moderator: bool | ToolInput | None = ...,
        user_custom_role_id: str | ToolInput | None = ...,
        user_only_private_comments: bool | ToolInput | None = ...,
        user_restricted_agent: bool | ToolInput | None = ...,
        user_suspended: bool | ToolInput | None = ...,
        user_report_csv: bool | ToolInput | None = ...,
        user_ticket_restriction: str | ToolInput | None = ...,
        user_tags: str | ToolInput | None = ...,
        user_id: str | ToolInput | None = ...,
        role: Any = ...,
        search_query: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        organization_name: str | ToolInput | None = ...,
        organization_domain_names: str | ToolInput | None = ...,
        organization_details: str | ToolInput | None = ...,
        organization_notes: str | ToolInput | None = ...,
        organization_external_id: str | ToolInput | None = ...,
        organization_group_id: str | ToolInput | None = ...,
        organization_shared_tickets: bool | ToolInput | None = ...,
        organization_shared_comments: bool | ToolInput | None = ...,
        organization_tags: str | ToolInput | None = ...,
        organization_id: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
    ) -> None: ...

class IntegrationZohoTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        account_name: str | ToolInput | None = ...,
        account_type: str | ToolInput | None = ...,
        industry: str | ToolInput | None = ...,
        phone: str | ToolInput | None = ...,
        website: str | ToolInput | None = ...,
        fax: str | ToolInput | None = ...,
        annual_revenue: float | ToolInput | None = ...,
        employees: int | ToolInput | None = ...,
        account_number: str | ToolInput | None = ...,
        account_site: str | ToolInput | None = ...,
        ticker_symbol: str | ToolInput | None = ...,
        currency: str | ToolInput | None = ...,
        exchange_rate: float | ToolInput | None = ...,
        contact_details: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        billing_street: str | ToolInput | None = ...,
        billing_city: str | ToolInput | None = ...,
        billing_state: str | ToolInput | None = ...,
        billing_code: str | ToolInput | None = ...,
        billing_country: str | ToolInput | None = ...,
        shipping_street: str | ToolInput | None = ...,
        shipping_city: str | ToolInput | None = ...,
        shipping_state: str | ToolInput | None = ...,
        shipping_code: str | ToolInput | None = ...,
        shipping_country: str | ToolInput | None = ...,
        custom_fields: str | ToolInput | None = ...,
        account_id: str | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        sort_by: str | ToolInput | None = ...,
        sort_order: str | ToolInput | None = ...,
        fields: str | ToolInput | None = ...,
        approved: bool | ToolInput | None = ...,
        converted: bool | ToolInput | None = ...,
        include_child: bool | ToolInput | None = ...,
        territory_id: str | ToolInput | None = ...,
        last_name: str | ToolInput | None = ...,
        first_name: str | ToolInput | None = ...,
        full_name: str | ToolInput | None = ...,
        email: str | ToolInput | None = ...,
        secondary_email: str | ToolInput | None = ...,
        mobile: str | ToolInput | None = ...,
        home_phone: str | ToolInput | None = ...,
        other_phone: str | ToolInput | None = ...,
        asst_phone: str | ToolInput | None = ...,
        department: str | ToolInput | None = ...,
        title: str | ToolInput | None = ...,
        assistant: str | ToolInput | None = ...,
        salutation: str | ToolInput | None = ...,
        date_of_birth: Any = ...,
        skype_id: str | ToolInput | None = ...,
        twitter: str | ToolInput | None = ...,
        mailing_street: str | ToolInput | None = ...,
        mailing_city: str | ToolInput | None = ...,
        mailing_state: str | ToolInput | None = ...,
        mailing_zip: str | ToolInput | None = ...,
        mailing_country: str | ToolInput | None = ...,
        other_street: str | ToolInput | None = ...,
        other_city: str | ToolInput | None = ...,
        other_state: str | ToolInput | None = ...,
        other_zip: str | ToolInput | None = ...,
        other_country: str | ToolInput | None = ...,
        contact_id: str | ToolInput | None = ...,
        deal_name: str | ToolInput | None = ...,
        stage: str | ToolInput | None = ...,
        amount: float | ToolInput | None = ...,
        closing_date: Any = ...,
        lead_conversion_time: int | ToolInput | None = ...,
        next_step: str | ToolInput | None = ...,
        overall_sales_duration: int | ToolInput | None = ...,
        probability: int | ToolInput | None = ...,
        sales_cycle_duration: int | ToolInput | None = ...,
        deal_id: str | ToolInput | None = ...,
        company: str | ToolInput | None = ...,
        city: str | ToolInput | None = ...,
        country: str | ToolInput | None = ...,
        designation: str | ToolInput | None = ...,
        email_opt_out: bool | ToolInput | None = ...,
        industry_type: str | ToolInput | None = ...,
        lead_source: str | ToolInput | None = ...,
        lead_status: str | ToolInput | None = ...,
        no_of_employees: int | ToolInput | None = ...,
        state: str | ToolInput | None = ...,
        street: str | ToolInput | None = ...,
        zip_code: str | ToolInput | None = ...,
        lead_id: str | ToolInput | None = ...,
        subject: str | ToolInput | None = ...,
        product_ids: list[str] | ToolInput | None = ...,
        product_quantities: list[str] | ToolInput | None = ...,
        product_list_prices: list[str] | ToolInput | None = ...,
        product_descriptions: list[str] | ToolInput | None = ...,
        product_taxes: list[str] | ToolInput | None = ...,
        adjustment: float | ToolInput | None = ...,
        due_date: Any = ...,
        invoice_date: Any = ...,
        invoice_number: str | ToolInput | None = ...,
        sales_commission: float | ToolInput | None = ...,
        status: str | ToolInput | None = ...,
        terms_and_conditions: str | ToolInput | None = ...,
        invoice_id: str | ToolInput | None = ...,
        product_name: str | ToolInput | None = ...,
        commission_rate: float | ToolInput | None = ...,
        manufacturer: str | ToolInput | None = ...,
        product_active: bool | ToolInput | None = ...,
        product_category: str | ToolInput | None = ...,
        qty_in_demand: float | ToolInput | None = ...,
        qty_in_stock: float | ToolInput | None = ...,
        taxable: bool | ToolInput | None = ...,
        unit_price: float | ToolInput | None = ...,
        product_id: str | ToolInput | None = ...,
        vendor_id: str | ToolInput | None = ...,
        carrier: str | ToolInput | None = ...,
        discount: float | ToolInput | None = ...,
        po_date: Any = ...,
        po_number: str | ToolInput | None = ...,
        tracking_number: str | ToolInput | None = ...,
        purchase_order_id: str | ToolInput | None = ...,
        quote_stage: str | ToolInput | None = ...,
        team: str | ToolInput | None = ...,
        valid_till: Any = ...,
        quote_id: str | ToolInput | None = ...,
        so_number: str | ToolInput | None = ...,
        sales_order_id: str | ToolInput | None = ...,
        vendor_name: str | ToolInput | None = ...,
        category: str | ToolInput | None = ...,
    ) -> None: ...

class IntegrationZoomTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        action: str | ToolInput | None = ...,
        *,
        topic: str | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        start_time: Any = ...,
        duration: int | ToolInput | None = ...,
        timezone: str | ToolInput | None = ...,
        password: str | ToolInput | None = ...,
        agenda: str | ToolInput | None = ...,
        schedule_for: str | ToolInput | None = ...,
        host_video: bool | ToolInput | None = ...,
        participant_video: bool | ToolInput | None = ...,
        join_before_host: bool | ToolInput | None = ...,
        mute_upon_entry: bool | ToolInput | None = ...,
        watermark: bool | ToolInput | None = ...,
        waiting_room: bool | ToolInput | None = ...,
        audio: str | ToolInput | None = ...,
        auto_recording: str | ToolInput | None = ...,
        alternative_hosts: str | ToolInput | None = ...,
        cn_meeting: bool | ToolInput | None = ...,
        in_meeting: bool | ToolInput | None = ...,
        registration_type: str | ToolInput | None = ...,
        meeting_id: str | ToolInput | None = ...,
        occurrence_id: str | ToolInput | None = ...,
        show_previous_occurrences: bool | ToolInput | None = ...,
        return_all: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        schedule_for_reminder: bool | ToolInput | None = ...,
    ) -> None: ...

class JoinListItemTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        join_by_newline: bool | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        *,
        join_characters: str | ToolInput | None = ...,
        list: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class JsonOperationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        num_chunks_to_rerank: int | ToolInput | None = ...,
        rerank_model: str | ToolInput | None = ...,
        do_advanced_qa: bool | ToolInput | None = ...,
        enable_filter: bool | ToolInput | None = ...,
        rerank_documents: bool | ToolInput | None = ...,
        retrieval_unit: str | ToolInput | None = ...,
        enable_context: bool | ToolInput | None = ...,
        format_context_for_llm: bool | ToolInput | None = ...,
        enable_document_db_filter: bool | ToolInput | None = ...,
        set_response_format: bool | ToolInput | None = ...,
        stream_response: bool | ToolInput | None = ...,
        *,
        alpha: float | ToolInput | None = ...,
        answer_multiple_questions: bool | ToolInput | None = ...,
        do_nl_metadata_query: bool | ToolInput | None = ...,
        expand_query: bool | ToolInput | None = ...,
        expand_query_terms: bool | ToolInput | None = ...,
        generate_metadata_filters: bool | ToolInput | None = ...,
        knowledge_base: Any = ...,
        query: str | ToolInput | None = ...,
        score_cutoff: float | ToolInput | None = ...,
        top_k: int | ToolInput | None = ...,
        transform_query: bool | ToolInput | None = ...,
        qa_model_name: str | ToolInput | None = ...,
        advanced_search_mode: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        context: str | ToolInput | None = ...,
        document_db_filter: str | ToolInput | None = ...,
        system_prompt: str | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseActionsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseAgentTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        knowledge_base: Any = ...,
        provider: Any = ...,
        mode: Any = ...,
        accept_additional_context: bool | ToolInput | None = ...,
        return_context: bool | ToolInput | None = ...,
        *,
        model: Any = ...,
        query: str | ToolInput | None = ...,
        return_answer: bool | ToolInput | None = ...,
        context: str | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseCreateTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        chunk_overlap: int | ToolInput | None = ...,
        chunk_size: int | ToolInput | None = ...,
        collection_name: str | ToolInput | None = ...,
        embedding_model: Any = ...,
        embedding_provider: str | ToolInput | None = ...,
        file_processing_implementation: Any = ...,
        precision: str | ToolInput | None = ...,
        segmentation_method: str | ToolInput | None = ...,
        sharded: bool | ToolInput | None = ...,
        vector_db_provider: str | ToolInput | None = ...,
        splitter_method: Any = ...,
        *,
        analyze_documents: bool | ToolInput | None = ...,
        apify_key: str | ToolInput | None = ...,
        is_hybrid: bool | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseFetchDocumentContentTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        item_id: str | ToolInput | None = ...,
        knowledge_base: Any = ...,
        max_chunks: int | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
        page_ranges: str | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseFetchItemsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        filter: str | ToolInput | None = ...,
        item_return_type: str | ToolInput | None = ...,
        knowledge_base: Any = ...,
        limit: int | ToolInput | None = ...,
        max_depth: int | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
        root_ids: str | ToolInput | None = ...,
        sort_fields: str | ToolInput | None = ...,
        sort_orders: str | ToolInput | None = ...,
        verbosity: str | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseFetchParsedContentTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        item_id: str | ToolInput | None = ...,
        knowledge_base: Any = ...,
        limit: int | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseGetItemBboxesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        knowledge_base: Any = ...,
        *,
        item_id: str | ToolInput | None = ...,
        page_ranges: str | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseListItemsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        knowledge_base: Any = ...,
        *,
        limit: int | ToolInput | None = ...,
        list_all_items: bool | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseLoaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        document_type: Any = ...,
        recursive: bool | ToolInput | None = ...,
        *,
        knowledge_base: Any = ...,
        documents: list[Any] | ToolInput | None = ...,
        url: str | ToolInput | None = ...,
        use_proxy: bool | ToolInput | None = ...,
        rescrape_frequency: Any = ...,
        max_recursive_urls: int | ToolInput | None = ...,
        max_depth: int | ToolInput | None = ...,
        same_domain_only: bool | ToolInput | None = ...,
        load_sitemap: bool | ToolInput | None = ...,
    ) -> None: ...

class KnowledgeBaseSyncTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        knowledge_base: Any = ...,
    ) -> None: ...

class ListDeduplicatorTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        type: str | ToolInput | None = ...,
        *,
        list: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class ListObjectsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        include_shared: bool | ToolInput | None = ...,
        limit: int | ToolInput | None = ...,
        object_type: Any = ...,
        offset: int | ToolInput | None = ...,
        verbose: bool | ToolInput | None = ...,
    ) -> None: ...

class ListOperationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class ListTrimmerTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        specify_section: bool | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        *,
        item_to_keep: int | ToolInput | None = ...,
        list: list[Any] | ToolInput | None = ...,
        start_index: int | ToolInput | None = ...,
        end_index: int | ToolInput | None = ...,
    ) -> None: ...

class ListenTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        variant: str | ToolInput | None = ...,
        *,
        buttons: list[Any] | ToolInput | None = ...,
        processed_outputs: dict[str, Any] | ToolInput | None = ...,
        allow_user_message: bool | ToolInput | None = ...,
    ) -> None: ...

class LlmTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        provider: str | ToolInput | None = ...,
        stream: bool | ToolInput | None = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        json_response: bool | ToolInput | None = ...,
        show_sources: bool | ToolInput | None = ...,
        retry_on_failure: bool | ToolInput | None = ...,
        *,
        baseUrl: str | ToolInput | None = ...,
        citation_metadata: list[str] | ToolInput | None = ...,
        enable_moderation: bool | ToolInput | None = ...,
        enable_pii_address: bool | ToolInput | None = ...,
        enable_pii_cc: bool | ToolInput | None = ...,
        enable_pii_email: bool | ToolInput | None = ...,
        enable_pii_name: bool | ToolInput | None = ...,
        enable_pii_phone: bool | ToolInput | None = ...,
        enable_pii_ssn: bool | ToolInput | None = ...,
        jsonSchema: str | ToolInput | None = ...,
        max_tokens: int | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        prompt: str | ToolInput | None = ...,
        reasoning_effort: str | ToolInput | None = ...,
        safe_context_token_window: bool | ToolInput | None = ...,
        system: str | ToolInput | None = ...,
        temperature: float | ToolInput | None = ...,
        top_p: float | ToolInput | None = ...,
        verbosity: str | ToolInput | None = ...,
        json_schema: str | ToolInput | None = ...,
        max_retries: int | ToolInput | None = ...,
        retry_interval_ms: int | ToolInput | None = ...,
        base_url: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        use_finetuned_model: bool | ToolInput | None = ...,
        finetuned_model: str | ToolInput | None = ...,
        enable_web_search: bool | ToolInput | None = ...,
        thinking_token_limit: int | ToolInput | None = ...,
        aws_access_key_id: str | ToolInput | None = ...,
        aws_secret_access_key: str | ToolInput | None = ...,
        aws_region: str | ToolInput | None = ...,
        endpoint: str | ToolInput | None = ...,
        deployment_id: str | ToolInput | None = ...,
    ) -> None: ...

class LlmAnthropicVisionTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        json_response: bool | ToolInput | None = ...,
        *,
        image: Any = ...,
        max_tokens: int | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        prompt: str | ToolInput | None = ...,
        system: str | ToolInput | None = ...,
        temperature: float | ToolInput | None = ...,
        top_p: float | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        json_schema: str | ToolInput | None = ...,
    ) -> None: ...

class LlmGoogleVisionTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        api_key: str | ToolInput | None = ...,
        image: Any = ...,
        json_response: bool | ToolInput | None = ...,
        max_tokens: int | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        prompt: str | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        stream: bool | ToolInput | None = ...,
        temperature: float | ToolInput | None = ...,
        top_p: float | ToolInput | None = ...,
    ) -> None: ...

class LlmOpenAiVisionTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        provider: str | ToolInput | None = ...,
        stream: bool | ToolInput | None = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        json_response: bool | ToolInput | None = ...,
        *,
        image: Any = ...,
        max_tokens: int | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        prompt: str | ToolInput | None = ...,
        system: str | ToolInput | None = ...,
        temperature: float | ToolInput | None = ...,
        top_p: float | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        json_schema: str | ToolInput | None = ...,
    ) -> None: ...

class MakeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        payload: str | ToolInput | None = ...,
        webhook_url: str | ToolInput | None = ...,
    ) -> None: ...

class MergeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        function: str | ToolInput | None = ...,
        type: str | ToolInput | None = ...,
        *,
        fields: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class NlToSqlTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        db_dialect: str | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        schema: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class NotificationsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class OutputTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        output_type: str | ToolInput | None = ...,
        *,
        description: str | ToolInput | None = ...,
        format_output: bool | ToolInput | None = ...,
        value: Any = ...,
        dataframe_type: str | ToolInput | None = ...,
    ) -> None: ...

class ParallelAiSearchTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        blocked_domains: list[str] | ToolInput | None = ...,
        excerpts_max_chars_per_result: int | ToolInput | None = ...,
        fetch_live_results: bool | ToolInput | None = ...,
        max_chars_per_result: int | ToolInput | None = ...,
        max_results: int | ToolInput | None = ...,
        mode: str | ToolInput | None = ...,
        objective: str | ToolInput | None = ...,
        preferred_domains: list[str] | ToolInput | None = ...,
        processor: str | ToolInput | None = ...,
        search_queries: list[str] | ToolInput | None = ...,
    ) -> None: ...

class PerplexitySearchTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        last_updated_after_filter: str | ToolInput | None = ...,
        last_updated_before_filter: str | ToolInput | None = ...,
        max_results: int | ToolInput | None = ...,
        max_tokens_per_page: int | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        query_list: list[str] | ToolInput | None = ...,
        return_images: bool | ToolInput | None = ...,
        return_snippets: bool | ToolInput | None = ...,
        search_after_date_filter: str | ToolInput | None = ...,
        search_before_date_filter: str | ToolInput | None = ...,
        search_domain_filter: list[str] | ToolInput | None = ...,
        search_mode: str | ToolInput | None = ...,
        search_recency_filter: str | ToolInput | None = ...,
        user_location_latitude: str | ToolInput | None = ...,
        user_location_longitude: str | ToolInput | None = ...,
        user_location_name: str | ToolInput | None = ...,
        user_location_radius_km: str | ToolInput | None = ...,
    ) -> None: ...

class PipelineTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        pipeline: Any = ...,
        **kwargs: Any,
    ) -> None: ...

class PostMessageTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        message: str | ToolInput | None = ...,
        session_id: str | ToolInput | None = ...,
    ) -> None: ...

class ReadJsonValuesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        json_string: str | ToolInput | None = ...,
        keys: list[Any] | ToolInput | None = ...,
        processed_outputs: dict[str, Any] | ToolInput | None = ...,
    ) -> None: ...

class ReadMemoryTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        memory_id: str | ToolInput | None = ...,
    ) -> None: ...

class ReadSessionMessagesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        message_type_filter: str | ToolInput | None = ...,
        offset: int | ToolInput | None = ...,
        session_id: str | ToolInput | None = ...,
    ) -> None: ...

class ReductoExtractTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        api_key: str | ToolInput | None = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        return_citations: bool | ToolInput | None = ...,
        *,
        deep_extract: bool | ToolInput | None = ...,
        files: list[Any] | ToolInput | None = ...,
        json_schema: str | ToolInput | None = ...,
        system_prompt: str | ToolInput | None = ...,
    ) -> None: ...

class RenameFileTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        file: Any = ...,
        new_name: str | ToolInput | None = ...,
    ) -> None: ...

class RssTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class RssFeedReaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        entries: int | ToolInput | None = ...,
        timeframe: str | ToolInput | None = ...,
        url: str | ToolInput | None = ...,
    ) -> None: ...

class SalesDataEnrichmentTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class ScorerTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        justification: bool | ToolInput | None = ...,
        provider: str | ToolInput | None = ...,
        *,
        additional_context: str | ToolInput | None = ...,
        criteria: str | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class SemanticSearchTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        do_advanced_qa: bool | ToolInput | None = ...,
        enable_filter: bool | ToolInput | None = ...,
        rerank_documents: bool | ToolInput | None = ...,
        retrieval_unit: str | ToolInput | None = ...,
        enable_context: bool | ToolInput | None = ...,
        format_context_for_llm: bool | ToolInput | None = ...,
        enable_document_db_filter: bool | ToolInput | None = ...,
        splitter_method: str | ToolInput | None = ...,
        *,
        alpha: float | ToolInput | None = ...,
        analyze_documents: bool | ToolInput | None = ...,
        answer_multiple_questions: bool | ToolInput | None = ...,
        do_nl_metadata_query: bool | ToolInput | None = ...,
        documents: str | ToolInput | None = ...,
        expand_query: bool | ToolInput | None = ...,
        expand_query_terms: bool | ToolInput | None = ...,
        is_hybrid: bool | ToolInput | None = ...,
        max_docs_per_query: int | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
        score_cutoff: float | ToolInput | None = ...,
        segmentation_method: str | ToolInput | None = ...,
        show_intermediate_steps: bool | ToolInput | None = ...,
        transform_query: bool | ToolInput | None = ...,
        qa_model_name: str | ToolInput | None = ...,
        advanced_search_mode: str | ToolInput | None = ...,
        filter: str | ToolInput | None = ...,
        rerank_model: str | ToolInput | None = ...,
        context: str | ToolInput | None = ...,
        document_db_filter: str | ToolInput | None = ...,
    ) -> None: ...

class SerpApiTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        api_key: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
    ) -> None: ...

class SetVariableTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        variable_set: Any = ...,
        scope: str | ToolInput | None = ...,
        variable_id: str | ToolInput | None = ...,
        *,
        value: Any = ...,
    ) -> None: ...

class ShareObjectTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        object_type: str | ToolInput | None = ...,
        *,
        org_name: str | ToolInput | None = ...,
        user_identifier: str | ToolInput | None = ...,
        object: Any = ...,
    ) -> None: ...

class SmsNotificationTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        message: str | ToolInput | None = ...,
        phone_number: str | ToolInput | None = ...,
    ) -> None: ...

class SortCsvTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        is_file_variable: bool | ToolInput | None = ...,
        has_headers: bool | ToolInput | None = ...,
        *,
        file: Any = ...,
        reverse_sort: bool | ToolInput | None = ...,
        column_index: int | ToolInput | None = ...,
        column_to_sort_by: str | ToolInput | None = ...,
    ) -> None: ...

class SpeechToTextTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        model: str | ToolInput | None = ...,
        *,
        audio: Any = ...,
        submodel: str | ToolInput | None = ...,
        tier: str | ToolInput | None = ...,
    ) -> None: ...

class SplitTextTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        delimiter: str | ToolInput | None = ...,
        *,
        text: str | ToolInput | None = ...,
        character: str | ToolInput | None = ...,
    ) -> None: ...

class StartFlagTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
    ) -> None: ...

class StickyNoteTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class SummarizerTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        provider: str | ToolInput | None = ...,
        *,
        model: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class TableTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class TableAddColumnsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        table: Any = ...,
        *,
        columns: dict[str, Any] | ToolInput | None = ...,
    ) -> None: ...

class TableAddRowTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        table: Any = ...,
        **kwargs: Any,
    ) -> None: ...

class TableAggregateTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        aggregation_column: str | ToolInput | None = ...,
        aggregation_type: str | ToolInput | None = ...,
        dataframe: Any = ...,
        group_by_columns: list[str] | ToolInput | None = ...,
    ) -> None: ...

class TableDeleteColumnsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        table: Any = ...,
        *,
        columns: list[str] | ToolInput | None = ...,
    ) -> None: ...

class TableDeleteValuesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        table: Any = ...,
        *,
        filters: str | ToolInput | None = ...,
    ) -> None: ...

class TableReadColumnsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        dataframe: Any = ...,
        column_type: str | ToolInput | None = ...,
        *,
        column_name: str | ToolInput | None = ...,
    ) -> None: ...

class TableRenameColumnTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        table: Any = ...,
        *,
        column: str | ToolInput | None = ...,
        new_name: str | ToolInput | None = ...,
    ) -> None: ...

class TableUpdateValuesTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        table: Any = ...,
        *,
        filters: str | ToolInput | None = ...,
        values: dict[str, Any] | ToolInput | None = ...,
    ) -> None: ...

class TalkTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        variant: str | ToolInput | None = ...,
        is_iframe: bool | ToolInput | None = ...,
        *,
        content: str | ToolInput | None = ...,
        image_url: Any = ...,
        title: str | ToolInput | None = ...,
        description: str | ToolInput | None = ...,
        button: Any = ...,
        cards: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class TextTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class TextFormatterTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        formatter: str | ToolInput | None = ...,
        *,
        text: str | ToolInput | None = ...,
        max_num_token: int | ToolInput | None = ...,
    ) -> None: ...

class TextManipulationTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class TextToFileTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        file_name: str | ToolInput | None = ...,
        file_type: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class TimeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        delta_time_unit: str | ToolInput | None = ...,
        delta_value: int | ToolInput | None = ...,
        is_positive: str | ToolInput | None = ...,
        is_positive_delta: bool | ToolInput | None = ...,
        output_format: str | ToolInput | None = ...,
        time_node_zone: str | ToolInput | None = ...,
        use_delta: bool | ToolInput | None = ...,
    ) -> None: ...

class TranslatorTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        provider: str | ToolInput | None = ...,
        *,
        model: str | ToolInput | None = ...,
        source_language: str | ToolInput | None = ...,
        target_language: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerAirtableTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerCronTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        item_id: str | ToolInput | None = ...,
        timezone: str | ToolInput | None = ...,
        trigger_enabled: bool | ToolInput | None = ...,
        time_of_day: str | ToolInput | None = ...,
        trigger_on_weekends: bool | ToolInput | None = ...,
        day_of_week: str | ToolInput | None = ...,
        day_of_month: int | ToolInput | None = ...,
    ) -> None: ...

class TriggerGithubTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerGmailTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        item_id: str | ToolInput | None = ...,
        trigger_enabled: bool | ToolInput | None = ...,
    ) -> None: ...

class TriggerGoogleDocsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerGoogleDriveTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerGoogleSheetsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerLinearTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        item_id: str | ToolInput | None = ...,
        trigger_enabled: bool | ToolInput | None = ...,
    ) -> None: ...

class TriggerMicrosoftTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerMondayTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        workspace_id: str | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
        board_id: str | ToolInput | None = ...,
        status_column_id: str | ToolInput | None = ...,
        status_value_index: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerOutlookTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        item_id: str | ToolInput | None = ...,
        trigger_enabled: bool | ToolInput | None = ...,
    ) -> None: ...

class TriggerSharepointTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerSlackTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        item_id: str | ToolInput | None = ...,
        trigger_enabled: bool | ToolInput | None = ...,
        team: str | ToolInput | None = ...,
        channel: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerTeamsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        item_id: str | ToolInput | None = ...,
        trigger_enabled: bool | ToolInput | None = ...,
        team_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerTypeformTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        trigger_enabled: bool | ToolInput | None = ...,
        item_id: str | ToolInput | None = ...,
    ) -> None: ...

class TriggerZendeskTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        integration: Any = ...,
        event: str | ToolInput | None = ...,
        *,
        item_id: str | ToolInput | None = ...,
        trigger_enabled: bool | ToolInput | None = ...,
    ) -> None: ...

class TtsElevenLabsTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        api_key: str | ToolInput | None = ...,
        model: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        voice: str | ToolInput | None = ...,
    ) -> None: ...

class TtsOpenAiTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        use_personal_api_key: bool | ToolInput | None = ...,
        *,
        model: str | ToolInput | None = ...,
        text: str | ToolInput | None = ...,
        voice: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
    ) -> None: ...

class UrlLoaderTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        provider: str | ToolInput | None = ...,
        use_actions: bool | ToolInput | None = ...,
        recursive: bool | ToolInput | None = ...,
        *,
        url: str | ToolInput | None = ...,
        api_key: str | ToolInput | None = ...,
        ai_enhance_content: bool | ToolInput | None = ...,
        use_proxy: bool | ToolInput | None = ...,
        actions: list[Any] | ToolInput | None = ...,
        url_limit: int | ToolInput | None = ...,
        load_sitemap: bool | ToolInput | None = ...,
    ) -> None: ...

class WaitNodeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        wait_time: int | ToolInput | None = ...,
        wait_time_type: str | ToolInput | None = ...,
    ) -> None: ...

class WebTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        sub_type: str | ToolInput | None = ...,
    ) -> None: ...

class WikipediaTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        chunk_text: bool | ToolInput | None = ...,
        *,
        query: str | ToolInput | None = ...,
        chunk_size: int | ToolInput | None = ...,
        chunk_overlap: int | ToolInput | None = ...,
    ) -> None: ...

class WriteJsonValueTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        selected: str | ToolInput | None = ...,
        *,
        json_string: str | ToolInput | None = ...,
        fields: list[Any] | ToolInput | None = ...,
    ) -> None: ...

class WriteMemoryTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        content: list[str] | ToolInput | None = ...,
        memory_description: str | ToolInput | None = ...,
        memory_id: str | ToolInput | None = ...,
        name: str | ToolInput | None = ...,
        scope_user_id: str | ToolInput | None = ...,
        scopes: list[str] | ToolInput | None = ...,
    ) -> None: ...

class YouDotComTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        loader_type: str | ToolInput | None = ...,
        *,
        api_key: str | ToolInput | None = ...,
        query: str | ToolInput | None = ...,
    ) -> None: ...

class YoutubeTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        chunk_text: bool | ToolInput | None = ...,
        *,
        url: str | ToolInput | None = ...,
        chunk_size: int | ToolInput | None = ...,
        chunk_overlap: int | ToolInput | None = ...,
    ) -> None: ...

class ZapierTool(PlatformTool):
    def __init__(
        self,
        id: str | None = None,
        tool_name: str | None = None,
        tool_description: str | None = ...,
        approval_config: Approval = ...,
        *,
        payload: str | ToolInput | None = ...,
        webhook_url: str | ToolInput | None = ...,
    ) -> None: ...

class AgentTools:
    add_node = AddNodeTool
    agent = AgentTool
    ai_audio_operations = AiAudioOperationsTool
    ai_fill_pdf = AiFillPdfTool
    ai_filter_list = AiFilterListTool
    ai_image_operations = AiImageOperationsTool
    ai_image_to_image = AiImageToImageTool
    ai_image_to_text = AiImageToTextTool
    ai_operations = AiOperationsTool
    ai_routing = AiRoutingTool
    ai_speech_to_text = AiSpeechToTextTool
    ai_text_to_image = AiTextToImageTool
    ai_text_to_speech = AiTextToSpeechTool
    api = ApiTool
    append_files = AppendFilesTool
    arxiv = ArxivTool
    browser_extension = BrowserExtensionTool
    categorizer = CategorizerTool
    chat_file_reader = ChatFileReaderTool
    chat_memory = ChatMemoryTool
    chunking = ChunkingTool
    code_execution = CodeExecutionTool
    code_interpreter = CodeInterpreterTool
    combine_list = CombineListTool
    combine_text = CombineTextTool
    condition = ConditionTool
    convert_type = ConvertTypeTool
    create_list = CreateListTool
    create_session = CreateSessionTool
    create_skill = CreateSkillTool
    create_workspace = CreateWorkspaceTool
    crunchbase = CrunchbaseTool
    csv_query = CsvQueryTool
    csv_reader = CsvReaderTool
    csv_to_excel = CsvToExcelTool
    csv_writer = CsvWriterTool
    custom_group = CustomGroupTool
    custom_smtp_email_sender = CustomSmtpEmailSenderTool
    custom_tool = CustomTool
    data_collector = DataCollectorTool
    dataframe_aggregate = DataframeAggregateTool
    dataframe_get_schema = DataframeGetSchemaTool
    dataframe_nl_query = DataframeNlQueryTool
    dataframe_operations = DataframeOperationsTool
    dataframe_raw_query = DataframeRawQueryTool
    dataframe_read_columns = DataframeReadColumnsTool
    deep_research = DeepResearchTool
    duplicate_list = DuplicateListTool
    email_notification = EmailNotificationTool
    email_validator = EmailValidatorTool
    exa_ai = ExaAiTool
    excel_cell_reader = ExcelCellReaderTool
    excel_cell_writer = ExcelCellWriterTool
    excel_file_reader = ExcelFileReaderTool
    excel_operations = ExcelOperationsTool
    excel_sheets_reader = ExcelSheetsReaderTool
    excel_writer = ExcelWriterTool
    extract_data = ExtractDataTool
    extract_to_table = ExtractToTableTool
    fetch_filings = FetchFilingsTool
    fetch_financials = FetchFinancialsTool
    fetch_logos = FetchLogosTool
    fetch_ratios = FetchRatiosTool
    fetch_slides = FetchSlidesTool
    fetch_stock_prices = FetchStockPricesTool
    fetch_transcripts = FetchTranscriptsTool
    file = FileTool
    file_operations = FileOperationsTool
    file_save = FileSaveTool
    file_to_text = FileToTextTool
    filter_list = FilterListTool
    find_and_replace = FindAndReplaceTool
    flatten_list = FlattenListTool
    generate_chart = GenerateChartTool
    get_list_item = GetListItemTool
    get_run_data = GetRunDataTool
    get_skill = GetSkillTool
    google_alert_rss_reader = GoogleAlertRssReaderTool
    google_search = GoogleSearchTool
    image_gen = ImageGenTool
    input = InputTool
    integration_airtable = IntegrationAirtableTool
    integration_algolia = IntegrationAlgoliaTool
    integration_apify = IntegrationApifyTool
    integration_apollo = IntegrationApolloTool
    integration_asana = IntegrationAsanaTool
    integration_aws_s_3 = IntegrationAwsS3Tool
    integration_bland_ai = IntegrationBlandAiTool
    integration_box = IntegrationBoxTool
    integration_clickup = IntegrationClickupTool
    integration_cobalt = IntegrationCobaltTool
    integration_coda = IntegrationCodaTool
    integration_copper = IntegrationCopperTool
    integration_databricks = IntegrationDatabricksTool
    integration_datadog = IntegrationDatadogTool
    integration_discord = IntegrationDiscordTool
    integration_docusign = IntegrationDocusignTool
    integration_dropbox = IntegrationDropboxTool
    integration_elasticsearch = IntegrationElasticsearchTool
    integration_figma = IntegrationFigmaTool
    integration_fred = IntegrationFredTool
    integration_github = IntegrationGithubTool
    integration_gitlab = IntegrationGitlabTool
    integration_gmail = IntegrationGmailTool
    integration_gohighlevel = IntegrationGohighlevelTool
    integration_google_ads = IntegrationGoogleAdsTool
    integration_google_analytics = IntegrationGoogleAnalyticsTool
    integration_google_big_query = IntegrationGoogleBigQueryTool
    integration_google_calendar = IntegrationGoogleCalendarTool
    integration_google_chat = IntegrationGoogleChatTool
    integration_google_cloud_firestore = IntegrationGoogleCloudFirestoreTool
    integration_google_cloud_storage = IntegrationGoogleCloudStorageTool
    integration_google_contacts = IntegrationGoogleContactsTool
    integration_google_docs = IntegrationGoogleDocsTool
    integration_google_drive = IntegrationGoogleDriveTool
    integration_google_firebase_realtime_db = IntegrationGoogleFirebaseRealtimeDbTool
    integration_google_perspective = IntegrationGooglePerspectiveTool
    integration_google_sheets = IntegrationGoogleSheetsTool
    integration_google_slides = IntegrationGoogleSlidesTool
    integration_google_tasks = IntegrationGoogleTasksTool
    integration_google_workspace_admin = IntegrationGoogleWorkspaceAdminTool
    integration_hubspot = IntegrationHubspotTool
    integration_intercom = IntegrationIntercomTool
    integration_jira = IntegrationJiraTool
    integration_linear = IntegrationLinearTool
    integration_linkedin = IntegrationLinkedinTool
    integration_mailchimp = IntegrationMailchimpTool
    integration_mailgun = IntegrationMailgunTool
    integration_microsoft = IntegrationMicrosoftTool
    integration_microsoft_calendar = IntegrationMicrosoftCalendarTool
    integration_microsoft_dynamics_crm = IntegrationMicrosoftDynamicsCrmTool
    integration_microsoft_excel = IntegrationMicrosoftExcelTool
    integration_microsoft_one_note = IntegrationMicrosoftOneNoteTool
    integration_microsoft_sql_server = IntegrationMicrosoftSqlServerTool
    integration_monday = IntegrationMondayTool
    integration_mongodb = IntegrationMongodbTool
    integration_mysql = IntegrationMysqlTool
    integration_notion = IntegrationNotionTool
    integration_openweathermap = IntegrationOpenweathermapTool
    integration_oracle_database = IntegrationOracleDatabaseTool
    integration_outlook = IntegrationOutlookTool
    integration_pager_duty = IntegrationPagerDutyTool
    integration_peopledatalabs = IntegrationPeopledatalabsTool
    integration_pinecone = IntegrationPineconeTool
    integration_postgres = IntegrationPostgresTool
    integration_powerbi = IntegrationPowerbiTool
    integration_quickbooks = IntegrationQuickbooksTool
    integration_reddit = IntegrationRedditTool
    integration_salesforce = IntegrationSalesforceTool
    integration_sec_edgar = IntegrationSecEdgarTool
    integration_servicenow = IntegrationServicenowTool
    integration_sharepoint = IntegrationSharepointTool
    integration_slack = IntegrationSlackTool
    integration_smartsheet = IntegrationSmartsheetTool
    integration_snowflake = IntegrationSnowflakeTool
    integration_stripe = IntegrationStripeTool
    integration_sugar_crm = IntegrationSugarCrmTool
    integration_supabase = IntegrationSupabaseTool
    integration_teams = IntegrationTeamsTool
    integration_telegram = IntegrationTelegramTool
    integration_trello = IntegrationTrelloTool
    integration_twilio = IntegrationTwilioTool
    integration_typeform = IntegrationTypeformTool
    integration_weaviate = IntegrationWeaviateTool
    integration_wordpress = IntegrationWordpressTool
    integration_x = IntegrationXTool
    integration_youtube = IntegrationYoutubeTool
    integration_zendesk = IntegrationZendeskTool
    integration_zoho = IntegrationZohoTool
    integration_zoom = IntegrationZoomTool
    join_list_item = JoinListItemTool
    json_operations = JsonOperationsTool
    knowledge_base = KnowledgeBaseTool
    knowledge_base_actions = KnowledgeBaseActionsTool
    knowledge_base_agent = KnowledgeBaseAgentTool
    knowledge_base_create = KnowledgeBaseCreateTool
    knowledge_base_fetch_document_content = KnowledgeBaseFetchDocumentContentTool
    knowledge_base_fetch_items = KnowledgeBaseFetchItemsTool
    knowledge_base_fetch_parsed_content = KnowledgeBaseFetchParsedContentTool
    knowledge_base_get_item_bboxes = KnowledgeBaseGetItemBboxesTool
    knowledge_base_list_items = KnowledgeBaseListItemsTool
    knowledge_base_loader = KnowledgeBaseLoaderTool
    knowledge_base_sync = KnowledgeBaseSyncTool
    list_deduplicator = ListDeduplicatorTool
    list_objects = ListObjectsTool
    list_operations = ListOperationsTool
    list_trimmer = ListTrimmerTool
    listen = ListenTool
    llm = LlmTool
    llm_anthropic_vision = LlmAnthropicVisionTool
    llm_google_vision = LlmGoogleVisionTool
    llm_open_ai_vision = LlmOpenAiVisionTool
    make = MakeTool
    mcp_connector = McpConnectorTool
    mcp_server = McpServerTool
    merge = MergeTool
    nl_to_sql = NlToSqlTool
    notifications = NotificationsTool
    output = OutputTool
    parallel_ai_search = ParallelAiSearchTool
    perplexity_search = PerplexitySearchTool
    pipeline = PipelineTool
    post_message = PostMessageTool
    read_json_values = ReadJsonValuesTool
    read_memory = ReadMemoryTool
    read_session_messages = ReadSessionMessagesTool
    reducto_extract = ReductoExtractTool
    rename_file = RenameFileTool
    rss = RssTool
    rss_feed_reader = RssFeedReaderTool
    sales_data_enrichment = SalesDataEnrichmentTool
    scorer = ScorerTool
    semantic_search = SemanticSearchTool
    serp_api = SerpApiTool
    set_variable = SetVariableTool
    share_object = ShareObjectTool
    sms_notification = SmsNotificationTool
    sort_csv = SortCsvTool
    speech_to_text = SpeechToTextTool
    split_text = SplitTextTool
    start_flag = StartFlagTool
    sticky_note = StickyNoteTool
    summarizer = SummarizerTool
    table = TableTool
    table_add_columns = TableAddColumnsTool
    table_add_row = TableAddRowTool
    table_aggregate = TableAggregateTool
    table_delete_columns = TableDeleteColumnsTool
    table_delete_values = TableDeleteValuesTool
    table_read_columns = TableReadColumnsTool
    table_rename_column = TableRenameColumnTool
    table_update_values = TableUpdateValuesTool
    talk = TalkTool
    text = TextTool
    text_formatter = TextFormatterTool
    text_manipulation = TextManipulationTool
    text_to_file = TextToFileTool
    time = TimeTool
    transformation = TransformationTool
    translator = TranslatorTool
    trigger = TriggerTool
    trigger_airtable = TriggerAirtableTool
    trigger_cron = TriggerCronTool
    trigger_github = TriggerGithubTool
    trigger_gmail = TriggerGmailTool
    trigger_google_docs = TriggerGoogleDocsTool
    trigger_google_drive = TriggerGoogleDriveTool
    trigger_google_sheets = TriggerGoogleSheetsTool
    trigger_linear = TriggerLinearTool
    trigger_microsoft = TriggerMicrosoftTool
    trigger_monday = TriggerMondayTool
    trigger_outlook = TriggerOutlookTool
    trigger_sharepoint = TriggerSharepointTool
    trigger_slack = TriggerSlackTool
    trigger_teams = TriggerTeamsTool
    trigger_typeform = TriggerTypeformTool
    trigger_zendesk = TriggerZendeskTool
    tts_eleven_labs = TtsElevenLabsTool
    tts_open_ai = TtsOpenAiTool
    url_loader = UrlLoaderTool
    wait_node = WaitNodeTool
    web = WebTool
    wikipedia = WikipediaTool
    write_json_value = WriteJsonValueTool
    write_memory = WriteMemoryTool
    you_dot_com = YouDotComTool
    youtube = YoutubeTool
    zapier = ZapierTool

class ToolAdder:
    def __init__(self, agent: Agent) -> None: ...
    def __call__(self, tool: Tool) -> Agent: ...
    add_node = Adds(AddNodeTool)
    agent = Adds(AgentTool)
    ai_audio_operations = Adds(AiAudioOperationsTool)
    ai_fill_pdf = Adds(AiFillPdfTool)
    ai_filter_list = Adds(AiFilterListTool)
    ai_image_operations = Adds(AiImageOperationsTool)
    ai_image_to_image = Adds(AiImageToImageTool)
    ai_image_to_text = Adds(AiImageToTextTool)
    ai_operations = Adds(AiOperationsTool)
    ai_routing = Adds(AiRoutingTool)
    ai_speech_to_text = Adds(AiSpeechToTextTool)
    ai_text_to_image = Adds(AiTextToImageTool)
    ai_text_to_speech = Adds(AiTextToSpeechTool)
    api = Adds(ApiTool)
    append_files = Adds(AppendFilesTool)
    arxiv = Adds(ArxivTool)
    browser_extension = Adds(BrowserExtensionTool)
    categorizer = Adds(CategorizerTool)
    chat_file_reader = Adds(ChatFileReaderTool)
    chat_memory = Adds(ChatMemoryTool)
    chunking = Adds(ChunkingTool)
    code_execution = Adds(CodeExecutionTool)
    code_interpreter = Adds(CodeInterpreterTool)
    combine_list = Adds(CombineListTool)
    combine_text = Adds(CombineTextTool)
    condition = Adds(ConditionTool)
    convert_type = Adds(ConvertTypeTool)
    create_list = Adds(CreateListTool)
    create_session = Adds(CreateSessionTool)
    create_skill = Adds(CreateSkillTool)
    create_workspace = Adds(CreateWorkspaceTool)
    crunchbase = Adds(CrunchbaseTool)
    csv_query = Adds(CsvQueryTool)
    csv_reader = Adds(CsvReaderTool)
    csv_to_excel = Adds(CsvToExcelTool)
    csv_writer = Adds(CsvWriterTool)
    custom_group = Adds(CustomGroupTool)
    custom_smtp_email_sender = Adds(CustomSmtpEmailSenderTool)
    custom_tool = Adds(CustomTool)
    data_collector = Adds(DataCollectorTool)
    dataframe_aggregate = Adds(DataframeAggregateTool)
    dataframe_get_schema = Adds(DataframeGetSchemaTool)
    dataframe_nl_query = Adds(DataframeNlQueryTool)
    dataframe_operations = Adds(DataframeOperationsTool)
    dataframe_raw_query = Adds(DataframeRawQueryTool)
    dataframe_read_columns = Adds(DataframeReadColumnsTool)
    deep_research = Adds(DeepResearchTool)
    duplicate_list = Adds(DuplicateListTool)
    email_notification = Adds(EmailNotificationTool)
    email_validator = Adds(EmailValidatorTool)
    exa_ai = Adds(ExaAiTool)
    excel_cell_reader = Adds(ExcelCellReaderTool)
    excel_cell_writer = Adds(ExcelCellWriterTool)
    excel_file_reader = Adds(ExcelFileReaderTool)
    excel_operations = Adds(ExcelOperationsTool)
    excel_sheets_reader = Adds(ExcelSheetsReaderTool)
    excel_writer = Adds(ExcelWriterTool)
    extract_data = Adds(ExtractDataTool)
    extract_to_table = Adds(ExtractToTableTool)
    fetch_filings = Adds(FetchFilingsTool)
    fetch_financials = Adds(FetchFinancialsTool)
    fetch_logos = Adds(FetchLogosTool)
    fetch_ratios = Adds(FetchRatiosTool)
    fetch_slides = Adds(FetchSlidesTool)
    fetch_stock_prices = Adds(FetchStockPricesTool)
    fetch_transcripts = Adds(FetchTranscriptsTool)
    file = Adds(FileTool)
    file_operations = Adds(FileOperationsTool)
    file_save = Adds(FileSaveTool)
    file_to_text = Adds(FileToTextTool)
    filter_list = Adds(FilterListTool)
    find_and_replace = Adds(FindAndReplaceTool)
    flatten_list = Adds(FlattenListTool)
    generate_chart = Adds(GenerateChartTool)
    get_list_item = Adds(GetListItemTool)
    get_run_data = Adds(GetRunDataTool)
    get_skill = Adds(GetSkillTool)
    google_alert_rss_reader = Adds(GoogleAlertRssReaderTool)
    google_search = Adds(GoogleSearchTool)
    image_gen = Adds(ImageGenTool)
    input = Adds(InputTool)
    integration_airtable = Adds(IntegrationAirtableTool)
    integration_algolia = Adds(IntegrationAlgoliaTool)
    integration_apify = Adds(IntegrationApifyTool)
    integration_apollo = Adds(IntegrationApolloTool)
    integration_asana = Adds(IntegrationAsanaTool)
    integration_aws_s_3 = Adds(IntegrationAwsS3Tool)
    integration_bland_ai = Adds(IntegrationBlandAiTool)
    integration_box = Adds(IntegrationBoxTool)
    integration_clickup = Adds(IntegrationClickupTool)
    integration_cobalt = Adds(IntegrationCobaltTool)
    integration_coda = Adds(IntegrationCodaTool)
    integration_copper = Adds(IntegrationCopperTool)
    integration_databricks = Adds(IntegrationDatabricksTool)
    integration_datadog = Adds(IntegrationDatadogTool)
    integration_discord = Adds(IntegrationDiscordTool)
    integration_docusign = Adds(IntegrationDocusignTool)
    integration_dropbox = Adds(IntegrationDropboxTool)
    integration_elasticsearch = Adds(IntegrationElasticsearchTool)
    integration_figma = Adds(IntegrationFigmaTool)
    integration_fred = Adds(IntegrationFredTool)
    integration_github = Adds(IntegrationGithubTool)
    integration_gitlab = Adds(IntegrationGitlabTool)
    integration_gmail = Adds(IntegrationGmailTool)
    integration_gohighlevel = Adds(IntegrationGohighlevelTool)
    integration_google_ads = Adds(IntegrationGoogleAdsTool)
    integration_google_analytics = Adds(IntegrationGoogleAnalyticsTool)
    integration_google_big_query = Adds(IntegrationGoogleBigQueryTool)
    integration_google_calendar = Adds(IntegrationGoogleCalendarTool)
    integration_google_chat = Adds(IntegrationGoogleChatTool)
    integration_google_cloud_firestore = Adds(IntegrationGoogleCloudFirestoreTool)
    integration_google_cloud_storage = Adds(IntegrationGoogleCloudStorageTool)
    integration_google_contacts = Adds(IntegrationGoogleContactsTool)
    integration_google_docs = Adds(IntegrationGoogleDocsTool)
    integration_google_drive = Adds(IntegrationGoogleDriveTool)
    integration_google_firebase_realtime_db = Adds(IntegrationGoogleFirebaseRealtimeDbTool)
    integration_google_perspective = Adds(IntegrationGooglePerspectiveTool)
    integration_google_sheets = Adds(IntegrationGoogleSheetsTool)
    integration_google_slides = Adds(IntegrationGoogleSlidesTool)
    integration_google_tasks = Adds(IntegrationGoogleTasksTool)
    integration_google_workspace_admin = Adds(IntegrationGoogleWorkspaceAdminTool)
    integration_hubspot = Adds(IntegrationHubspotTool)
    integration_intercom = Adds(IntegrationIntercomTool)
    integration_jira = Adds(IntegrationJiraTool)
    integration_linear = Adds(IntegrationLinearTool)
    integration_linkedin = Adds(IntegrationLinkedinTool)
    integration_mailchimp = Adds(IntegrationMailchimpTool)
    integration_mailgun = Adds(IntegrationMailgunTool)
    integration_microsoft = Adds(IntegrationMicrosoftTool)
    integration_microsoft_calendar = Adds(IntegrationMicrosoftCalendarTool)
    integration_microsoft_dynamics_crm = Adds(IntegrationMicrosoftDynamicsCrmTool)
    integration_microsoft_excel = Adds(IntegrationMicrosoftExcelTool)
    integration_microsoft_one_note = Adds(IntegrationMicrosoftOneNoteTool)
    integration_microsoft_sql_server = Adds(IntegrationMicrosoftSqlServerTool)
    integration_monday = Adds(IntegrationMondayTool)
    integration_mongodb = Adds(IntegrationMongodbTool)
    integration_mysql = Adds(IntegrationMysqlTool)
    integration_notion = Adds(IntegrationNotionTool)
    integration_openweathermap = Adds(IntegrationOpenweathermapTool)
    integration_oracle_database = Adds(IntegrationOracleDatabaseTool)
    integration_outlook = Adds(IntegrationOutlookTool)
    integration_pager_duty = Adds(IntegrationPagerDutyTool)
    integration_peopledatalabs = Adds(IntegrationPeopledatalabsTool)
    integration_pinecone = Adds(IntegrationPineconeTool)
    integration_postgres = Adds(IntegrationPostgresTool)
    integration_powerbi = Adds(IntegrationPowerbiTool)
    integration_quickbooks = Adds(IntegrationQuickbooksTool)
    integration_reddit = Adds(IntegrationRedditTool)
    integration_salesforce = Adds(IntegrationSalesforceTool)
    integration_sec_edgar = Adds(IntegrationSecEdgarTool)
    integration_servicenow = Adds(IntegrationServicenowTool)
    integration_sharepoint = Adds(IntegrationSharepointTool)
    integration_slack = Adds(IntegrationSlackTool)
    integration_smartsheet = Adds(IntegrationSmartsheetTool)
    integration_snowflake = Adds(IntegrationSnowflakeTool)
    integration_stripe = Adds(IntegrationStripeTool)
    integration_sugar_crm = Adds(IntegrationSugarCrmTool)
    integration_supabase = Adds(IntegrationSupabaseTool)
    integration_teams = Adds(IntegrationTeamsTool)
    integration_telegram = Adds(IntegrationTelegramTool)
    integration_trello = Adds(IntegrationTrelloTool)
    integration_twilio = Adds(IntegrationTwilioTool)
    integration_typeform = Adds(IntegrationTypeformTool)
    integration_weaviate = Adds(IntegrationWeaviateTool)
    integration_wordpress = Adds(IntegrationWordpressTool)
    integration_x = Adds(IntegrationXTool)
    integration_youtube = Adds(IntegrationYoutubeTool)
    integration_zendesk = Adds(IntegrationZendeskTool)
    integration_zoho = Adds(IntegrationZohoTool)
    integration_zoom = Adds(IntegrationZoomTool)
    join_list_item = Adds(JoinListItemTool)
    json_operations = Adds(JsonOperationsTool)
    knowledge_base = Adds(KnowledgeBaseTool)
    knowledge_base_actions = Adds(KnowledgeBaseActionsTool)
    knowledge_base_agent = Adds(KnowledgeBaseAgentTool)
    knowledge_base_create = Adds(KnowledgeBaseCreateTool)
    knowledge_base_fetch_document_content = Adds(KnowledgeBaseFetchDocumentContentTool)
    knowledge_base_fetch_items = Adds(KnowledgeBaseFetchItemsTool)
    knowledge_base_fetch_parsed_content = Adds(KnowledgeBaseFetchParsedContentTool)
    knowledge_base_get_item_bboxes = Adds(KnowledgeBaseGetItemBboxesTool)
    knowledge_base_list_items = Adds(KnowledgeBaseListItemsTool)
    knowledge_base_loader = Adds(KnowledgeBaseLoaderTool)
    knowledge_base_sync = Adds(KnowledgeBaseSyncTool)
    list_deduplicator = Adds(ListDeduplicatorTool)
    list_objects = Adds(ListObjectsTool)
    list_operations = Adds(ListOperationsTool)
    list_trimmer = Adds(ListTrimmerTool)
    listen = Adds(ListenTool)
    llm = Adds(LlmTool)
    llm_anthropic_vision = Adds(LlmAnthropicVisionTool)
    llm_google_vision = Adds(LlmGoogleVisionTool)
    llm_open_ai_vision = Adds(LlmOpenAiVisionTool)
    make = Adds(MakeTool)
    mcp_connector = Adds(McpConnectorTool)
    mcp_server = Adds(McpServerTool)
    merge = Adds(MergeTool)
    nl_to_sql = Adds(NlToSqlTool)
    notifications = Adds(NotificationsTool)
    output = Adds(OutputTool)
    parallel_ai_search = Adds(ParallelAiSearchTool)
    perplexity_search = Adds(PerplexitySearchTool)
    pipeline = Adds(PipelineTool)
    post_message = Adds(PostMessageTool)
    read_json_values = Adds(ReadJsonValuesTool)
    read_memory = Adds(ReadMemoryTool)
    read_session_messages = Adds(ReadSessionMessagesTool)
    reducto_extract = Adds(ReductoExtractTool)
    rename_file = Adds(RenameFileTool)
    rss = Adds(RssTool)
    rss_feed_reader = Adds(RssFeedReaderTool)
    sales_data_enrichment = Adds(SalesDataEnrichmentTool)
    scorer = Adds(ScorerTool)
    semantic_search = Adds(SemanticSearchTool)
    serp_api = Adds(SerpApiTool)
    set_variable = Adds(SetVariableTool)
    share_object = Adds(ShareObjectTool)
    sms_notification = Adds(SmsNotificationTool)
    sort_csv = Adds(SortCsvTool)
    speech_to_text = Adds(SpeechToTextTool)
    split_text = Adds(SplitTextTool)
    start_flag = Adds(StartFlagTool)
    sticky_note = Adds(StickyNoteTool)
    summarizer = Adds(SummarizerTool)
    table = Adds(TableTool)
    table_add_columns = Adds(TableAddColumnsTool)
    table_add_row = Adds(TableAddRowTool)
    table_aggregate = Adds(TableAggregateTool)
    table_delete_columns = Adds(TableDeleteColumnsTool)
    table_delete_values = Adds(TableDeleteValuesTool)
    table_read_columns = Adds(TableReadColumnsTool)
    table_rename_column = Adds(TableRenameColumnTool)
    table_update_values = Adds(TableUpdateValuesTool)
    talk = Adds(TalkTool)
    text = Adds(TextTool)
    text_formatter = Adds(TextFormatterTool)
    text_manipulation = Adds(TextManipulationTool)
    text_to_file = Adds(TextToFileTool)
    time = Adds(TimeTool)
    transformation = Adds(TransformationTool)
    translator = Adds(TranslatorTool)
    trigger = Adds(TriggerTool)
    trigger_airtable = Adds(TriggerAirtableTool)
    trigger_cron = Adds(TriggerCronTool)
    trigger_github = Adds(TriggerGithubTool)
    trigger_gmail = Adds(TriggerGmailTool)
    trigger_google_docs = Adds(TriggerGoogleDocsTool)
    trigger_google_drive = Adds(TriggerGoogleDriveTool)
    trigger_google_sheets = Adds(TriggerGoogleSheetsTool)
    trigger_linear = Adds(TriggerLinearTool)
    trigger_microsoft = Adds(TriggerMicrosoftTool)
    trigger_monday = Adds(TriggerMondayTool)
    trigger_outlook = Adds(TriggerOutlookTool)
    trigger_sharepoint = Adds(TriggerSharepointTool)
    trigger_slack = Adds(TriggerSlackTool)
    trigger_teams = Adds(TriggerTeamsTool)
    trigger_typeform = Adds(TriggerTypeformTool)
    trigger_zendesk = Adds(TriggerZendeskTool)
    tts_eleven_labs = Adds(TtsElevenLabsTool)
    tts_open_ai = Adds(TtsOpenAiTool)
    url_loader = Adds(UrlLoaderTool)
    wait_node = Adds(WaitNodeTool)
    web = Adds(WebTool)
    wikipedia = Adds(WikipediaTool)
    write_json_value = Adds(WriteJsonValueTool)
    write_memory = Adds(WriteMemoryTool)
    you_dot_com = Adds(YouDotComTool)
    youtube = Adds(YoutubeTool)
    zapier = Adds(ZapierTool)
