-- KEYS[1] the gate, alone: whoever waits is told when the gate changes, not of every step of the count.
-- Returns the generation and the last one completed; nothing when there is no gate.
local gate = redis.call('HMGET', KEYS[1], 'generation', 'completed')
if not gate[1] then
  return {}
end
return {tonumber(gate[1]), tonumber(gate[2])}
