-- KEYS the slots and stamps to hold; ARGV[1] the hold; ARGV[2] its life in milliseconds, never shortening an older
-- hold's. Returns for each key whether it was held before.
local overlaps = {}
for index, key in ipairs(KEYS) do
  local life = tonumber(ARGV[2])
  overlaps[index] = 0
  if redis.call('GETRANGE', key, 0, 0) == 'H' then
    overlaps[index] = 1
    life = math.max(life, redis.call('PTTL', key))
  end
  redis.call('SET', key, ARGV[1], 'PX', life)
end
return overlaps
