export { NativeAgent, type TaskInput, completionOf, newTaskId, only } from './agent/native.ts';
export { type Arguments, type Delivery, type Reply, type Scenario, scenario } from './model/script.ts';
export { type RecordedRequest, type ScriptedModel, type ScriptedModelOptions, startScriptedModel } from './model/server.ts';
