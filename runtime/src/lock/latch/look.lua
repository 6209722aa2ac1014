-- KEYS[1] the gate; KEYS[2] the ids that have counted down. Returns the generation, the last one completed, and what is left;
-- nothing when there is no gate.
local gate = redis.call('HMGET', KEYS[1], 'generation', 'completed', 'total')
if not gate[1] then
  return {}
end
local left = 0
if gate[1] ~= gate[2] then
  left = gate[3] - redis.call('SCARD', KEYS[2])
end
return {tonumber(gate[1]), tonumber(gate[2]), left}
