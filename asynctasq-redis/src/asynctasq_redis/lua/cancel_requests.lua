-- The flagged leases of an owner. ARGV: owner. Answers with ids and tokens in turn.

local flagged = call('SMEMBERS', P .. 'c:' .. ARGV[1])
local answer = {}
for _, id in ipairs(flagged) do
    local lease = call('HGET', P .. 'leases', id)
    if lease and owner_and_queue(lease) == ARGV[1] then
        answer[#answer + 1] = id
        answer[#answer + 1] = unpack_from('>I4', lease)
    end
end
return answer
