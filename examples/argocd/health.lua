-- Health of a ModelDeployment for Argo CD. A status that does not speak of the newest spec yet is on its way.
local status = obj.status
if status == nil or status.phase == nil then
  return {status = "Progressing", message = "the operator has not looked at it yet"}
end
if status.observedGeneration ~= nil and status.observedGeneration < obj.metadata.generation then
  return {status = "Progressing", message = "the operator has not looked at the newest spec yet"}
end
local health = {
  Pending = "Progressing",
  Progressing = "Progressing",
  Paused = "Suspended",
  Healthy = "Healthy",
  Degraded = "Degraded",
}
return {status = health[status.phase] or "Unknown", message = status.message or ""}
